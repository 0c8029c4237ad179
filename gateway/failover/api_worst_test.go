package failover

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/xds"
)

func TestGetTheWorst(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		g.see(10, entry1, entry2, "machine/a", "machine/b")
		g.see(4, entry1, entry2, "!machine/a", "machine/b")
		var worst struct {
			Serving  xds.Serving
			Subjects []map[string]any
			LeftOut  []leftOut `json:"subjects_left_out"`
		}
		g.get(t, "GET", "/api/v1/failover?worst=3", "", &worst)
		require.Len(t, worst.Subjects, 3)
		require.Equal(t, "machine/a", worst.Subjects[2]["subject"])
		require.Equal(t, []leftOut{{Kind: "machine", Act: true, Health: "healthy", Count: 1}}, worst.LeftOut)
		require.Contains(t, worst.Serving.Out, "machine/a")
		worst.Serving.Out = nil
		g.get(t, "GET", "/api/v1/failover?worst=1", "", &worst)
		require.Empty(t, worst.Serving.Out, "of what is not listed nothing is told")
		require.Equal(t, http.StatusBadRequest, g.ask("GET", "/api/v1/failover?worst=0", "").Code)
		require.Equal(t, http.StatusBadRequest, g.ask("GET", "/api/v1/failover?worst=x", "").Code)
	})
}

// Where so many machines are out that no others are listed, what is wrong with DNS is.
func TestWorstTellsOfDNS(t *testing.T) {
	want := wanted{worst: 3}
	few, rest := want.cut([]listed{
		{Subject: "dns/berlin", Kind: "dns", Verdict: Verdict{Health: Healthy}},
		{Subject: "dns/tokyo", Kind: "dns", Verdict: Verdict{Health: Dead}},
		{Subject: "idc/idc1/entry", Kind: "idc", Verdict: Verdict{Health: Healthy}},
		{Subject: "machine/a", Kind: "machine", Verdict: Verdict{Health: Dead, Out: true}},
		{Subject: "machine/b", Kind: "machine", Verdict: Verdict{Health: Dead, Out: true}},
	})
	require.Len(t, few, 3)
	require.Equal(t, []string{"dns/tokyo", "idc/idc1/entry", "machine/a"}, []string{few[0].Subject, few[1].Subject, few[2].Subject})
	require.Len(t, rest, 2)
}

// However large a fleet is, a page that asks every two seconds gets little: all that is odd, and of the others how many there are.
func TestWorstOfTenThousandMachines(t *testing.T) {
	const odd = 120
	v := &view{at: time.Now(), decision: Decision{Verdict: map[string]Verdict{}, Serving: xds.Serving{Out: map[string]xds.Out{}}}}
	for i := range fleet {
		name := fmt.Sprintf("machine/rack-%02d-host-%05d.example.com", i%40, i)
		verdict := Verdict{IDC: fmt.Sprintf("idc%d", i%2+1), Health: Healthy, Since: v.at}
		if i%(fleet/odd) == 0 {
			verdict.Health, verdict.Why, verdict.Out = Dead, "2 of 3 sites: connection refused", true
			v.decision.Serving.Out[name] = xds.Out{Since: v.at, Why: verdict.Why}
		}
		v.decision.Verdict[name] = verdict
		for _, site := range []string{"berlin", "tokyo", "lima"} {
			v.opinions = append(v.opinions, Opinion{Site: site, Subject: name, Health: verdict.Health, Since: v.at, Why: verdict.Why})
		}
	}
	v.decision.Verdict["idc/idc1/entry"] = Verdict{IDC: "idc1", Health: Healthy, Since: v.at}
	f := &failover{rules: Rules{Act: map[string]bool{"machine": true}}}
	measure := func(want wanted) (list []listed, rest []leftOut, packed int) {
		began := time.Now()
		list, rest = want.cut(f.subjects(v, &want))
		text, err := json.Marshal(status{At: v.at, Serving: among(v.decision.Serving, list), Subjects: list, LeftOut: rest})
		require.NoError(t, err)
		var out bytes.Buffer
		packer, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
		require.NoError(t, err)
		_, err = packer.Write(text)
		require.NoError(t, err)
		require.NoError(t, packer.Close())
		t.Logf("%+v: %d subjects, %d bytes, %d compressed, in %v", want, len(list), len(text), out.Len(), time.Since(began).Round(time.Millisecond))
		return list, rest, out.Len()
	}
	list, rest, whole := measure(wanted{})
	require.Len(t, list, fleet+1)
	require.Empty(t, rest)
	list, rest, few := measure(wanted{worst: 200})
	require.Len(t, list, 200)
	require.Equal(t, "idc/idc1/entry", list[0].Subject)
	out := 0
	for i := range list {
		if list[i].Out {
			out++
		}
	}
	require.GreaterOrEqual(t, out, odd, "not all that is odd is listed")
	require.Equal(t, []leftOut{{Kind: "machine", Act: true, Health: "healthy", Count: fleet + 1 - 200}}, rest)
	require.Less(t, few, 20_000)
	require.Less(t, few, whole/10)
	list, rest, _ = measure(wanted{words: []string{"host-00042", "idc1"}, worst: 50})
	require.Len(t, list, 1)
	require.Empty(t, rest)
}
