package mesh

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The bounds that the README of gateway/envoy states, in MB of heap.
const (
	floodBound  = 25  // what a flood of authorities and addresses leaves behind
	seriesBound = 150 // 20,000 label sets, each on an edge of its own, with a flag, known to one stream
)

// patched is a message in which places of a fixed width are written anew for each sending.
type patched struct {
	bytes  []byte
	places [][]byte
}

// patch finds all places of what in a message.
func patch(message []byte, what string) *patched {
	p := &patched{bytes: message}
	for rest := message; ; {
		i := bytes.Index(rest, []byte(what))
		if i < 0 {
			return p
		}
		p.places = append(p.places, rest[i:i+len(what)])
		rest = rest[i+len(what):]
	}
}

func heapMB() float64 {
	runtime.GC() // and once more for what unique and finalizers let go of
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / 1e6
}

// noCluster makes an entry a request that the mesh's configuration knows nothing of, as Envoy logs it where it comes in.
func noCluster(e *accesslogdatav3.HTTPAccessLogEntry) {
	e.CommonProperties.UpstreamCluster, e.CommonProperties.UpstreamRemoteAddress, e.CommonProperties.FilterStateObjects = "", nil, nil
	e.CommonProperties.ResponseFlags = &accesslogdatav3.ResponseFlags{NoRouteFound: true}
	e.Response.ResponseCode = wrapperspb.UInt32(404)
}

// Ten million requests for a million hosts from random addresses: memory stays bounded, what is over the bound counts as
// other, and the mesh's own services stay exact, whether their cluster names them or, on failures, the authority alone.
func TestFloodOfAuthoritiesAndAddresses(t *testing.T) {
	const perMessage, known = 50, 20
	entries, distinct := 10_000_000, 1_000_000
	if testing.Short() {
		entries, distinct = entries/50, distinct/50
	}
	const host, address = "0123456789abcdef.example.com", "203.113.113.113"
	stranger := request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
		noCluster(e)
		e.Request.Authority = host
		e.CommonProperties.DownstreamLocalAddress = socket("10.0.0.1", 15006)
		e.CommonProperties.DownstreamRemoteAddress = socket(address, 40000)
	})
	var strangers []*accesslogdatav3.HTTPAccessLogEntry
	for range perMessage {
		strangers = append(strangers, stranger)
	}
	flood := message(t, strangers...)
	hosts, addresses := patch(flood, host[:16]), patch(flood, address)
	service := func(i int) string { return fmt.Sprintf("s%d.default.svc.cluster.local", i) }
	var own [][]byte // a served request and one without a healthy host, of each service
	for i := range known {
		own = append(own, message(t, request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
			e.CommonProperties.UpstreamCluster = "outbound|80||" + service(i)
		}), request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
			noCluster(e)
			e.CommonProperties.DownstreamLocalAddress = socket("10.0.0.1", 15001)
			e.Request.Authority = service(i) + ":80"
		})))
	}

	now := time.Unix(1700000000, 0)
	before := heapMB()
	a := New(Options{}, now)
	s := a.Open(node(t, "sidecar~10.0.0.1~web-1.default~x", "app", "web", "version", "v1"))
	defer s.Close()
	add := func(m []byte) {
		if err := s.Add(m); err != nil {
			t.Fatal(err)
		}
	}
	total := map[string]uint64{}
	peak, sent, rounds := 0.0, 0, 0
	for ; sent < entries; sent += perMessage {
		for i, place := range hosts.places {
			copy(place, fmt.Appendf(nil, "%016x", (sent+i)%distinct))
		}
		for _, place := range addresses.places {
			for at := 0; at < len(place); at += 4 {
				copy(place[at:at+3], strconv.Itoa(100+rand.IntN(156)))
			}
		}
		add(flood)
		if sent%10_000 == 0 {
			rounds++
			for i, m := range own { // some services are met only when the flood has long been there
				if sent >= i*entries/known {
					add(m)
				}
			}
		}
		if sent%(entries/20) == 0 {
			now = now.Add(10 * time.Second)
			flush(t, a, now)
			peak = max(peak, heapMB()-before)
		}
	}
	for _, series := range flush(t, a, now.Add(2*time.Minute)) { // all of them are due
		total[label(series, "destination_service")] += series.Requests
	}
	t.Logf("%d entries, %d label sets, %.1f MB", sent, len(total), peak)
	for i := range known {
		want := uint64(0)
		for n := range rounds {
			if n*10_000 >= i*entries/known {
				want += 2
			}
		}
		if got := total[service(i)]; got != want {
			t.Errorf("%s: %d requests, want %d", service(i), got, want)
		}
		delete(total, service(i))
	}
	if n := len(total) - 1; n != maxAuthorities {
		t.Errorf("%d services by authority, want %d", n, maxAuthorities)
	}
	var strange uint64
	for _, n := range total {
		strange += n
	}
	if strange != uint64(sent) || total[Other] < strange*9/10*uint64(distinct-maxAuthorities)/uint64(distinct) {
		t.Errorf("%d requests of the flood, %d of them other, want %d", strange, total[Other], sent)
	}
	if peak > floodBound {
		t.Errorf("the heap grew by %.1f MB, want %d at most", peak, floodBound)
	}
}

// The dearest label sets: each on an edge of its own, with a flag, all in one stream. What is over the cap is other.
func TestFloodOfPeers(t *testing.T) {
	entries := 400_000
	if testing.Short() {
		entries = 60_000
	}
	const name = "0123456789abcdef"
	message := message(t, request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.CommonProperties.ResponseFlags = &accesslogdatav3.ResponseFlags{UpstreamConnectionFailure: true}
		e.CommonProperties.FilterStateObjects["upstream_peer"] = peerStruct("app", "app-"+name, "version", "v1", "namespace", "default", "workload", "app-"+name+"-v1")
	}))
	names := patch(message, name)
	now := time.Unix(1700000000, 0)
	before := heapMB()
	a := New(Options{}, now)
	s := a.Open(node(t, "sidecar~10.0.0.1~web-1.default~x", "app", "web", "version", "v1"))
	defer s.Close()
	for n := range entries {
		for _, place := range names.places {
			copy(place, fmt.Appendf(nil, "%016x", n))
		}
		if err := s.Add(message); err != nil {
			t.Fatal(err)
		}
	}
	var requests, other uint64
	series := flush(t, a, now.Add(5*time.Second))
	for _, s := range series {
		if requests += s.Requests; label(s, "destination_app") == Other {
			other += s.Requests
		}
	}
	if len(series) != 20_001 || requests != uint64(entries) || other != requests-20_000 || a.Totals().Overflow != other {
		t.Errorf("%d label sets with %d requests, %d of them other; want 20001 with %d", len(series), requests, other, entries)
	}
	sets := len(series)
	series = nil
	if grown := heapMB() - before; grown > seriesBound {
		t.Errorf("the heap grew by %.1f MB, want %d at most", grown, seriesBound)
	} else {
		t.Logf("%d label sets, %.1f MB", sets, grown)
	}
}
