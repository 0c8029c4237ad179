package mesh

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
	"unique"
)

// crowd is a mesh of 300 apps in two versions each, with 1,000 links that both ends report, and an hour behind it.
func crowd(now time.Time) *Aggregator {
	const apps, links = 300, 1000
	a := New(Options{}, now.Add(-2*time.Hour))
	a.merged = now
	random := rand.New(rand.NewPCG(1, 2))
	peer := func(number, of int) unique.Handle[Peer] {
		p := Peer{workload: fmt.Sprintf("app-%d-v%d", number, of), namespace: "default", app: fmt.Sprintf("app-%d", number), version: fmt.Sprintf("v%d", of)}
		return unique.Make(p)
	}
	for i := range links {
		from, to := random.IntN(1+min(i, apps-1)), 1+i%(apps-1)
		if from == to {
			from = 0
		}
		k := key{
			source: peer(from, i/apps%2), destination: peer(to, i/2%2), idc: unique.Make(fmt.Sprintf("idc%d", 1+i%2)), code: 200, grpc: noGRPCStatus,
			service: unique.Make(newService(fmt.Sprintf("app-%d.default.svc.cluster.local", to))),
		}
		k.far = k.idc
		for _, k.reporter = range []reporter{reporterSource, reporterDestination} {
			e := a.edgeOf(&k)
			e.history.last = minuteNumber(now) - historyMinutes - 1
			for range historyMinutes {
				e.history.add(minute{requests: 600 + uint32(random.IntN(100)), p99: 20})
			}
			c := &counts{key: k, requests: 600}
			c.distributions[durations].buckets[5] = 600
			e.add(now, c)
			c.key.flags = 1 << flagNoConnection
			c.requests = 3
			e.add(now, c)
		}
	}
	return a
}

func BenchmarkPicture(b *testing.B) {
	a := crowd(time.Unix(1700000000, 0))
	telemetry := func(_, app string) Telemetry { return Telemetry{Ingress: app == "app-0"} }
	b.Run("links", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if p := a.Picture(); len(p.Links) < 900 {
				b.Fatal(len(p.Links))
			}
		}
	})
	p := a.Picture()
	b.Run("funnels", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if funnels := p.Funnels(time.Time{}, telemetry); len(funnels) != 2 || len(funnels[0].Hops) < 100 {
				b.Fatal(funnels)
			}
		}
	})
	b.Run("JSON", func(b *testing.B) {
		all := struct {
			Links   []Link
			Funnels []Funnel
		}{p.Links, p.Funnels(time.Time{}, telemetry)}
		b.ReportAllocs()
		for b.Loop() {
			text, err := json.Marshal(&all)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(text)))
		}
	})
}
