package stats

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
)

// messagesOf reads the stream of a sink as a real Envoy sent it: testdata/NAME.binpb is protodelim.
func messagesOf(t testing.TB, name string) (messages [][]byte) {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".binpb")
	require.NoError(t, err)
	defer f.Close()
	in := bufio.NewReader(f)
	for {
		var m metricsv3.StreamMetricsMessage
		if err := (protodelim.UnmarshalOptions{MaxSize: 1 << 20}).UnmarshalFrom(in, &m); errors.Is(err, io.EOF) {
			return messages
		} else if err != nil {
			t.Fatal(err)
		}
		b, err := proto.Marshal(&m)
		require.NoError(t, err)
		messages = append(messages, b)
	}
}

func TestRecord(t *testing.T) {
	if os.Getenv("LOCKKEEPER_RECORD") == "" {
		t.Skip("LOCKKEEPER_RECORD=1 writes testdata/*.binpb anew")
	}
	e := startEnvoy(t, false)
	e.request("/orders/1")
	e.services["plain"].more(t, 2)
	for _, path := range []string{"/ok", "/orders/1", "/down", "/limited", "/limited", "/nowhere"} {
		e.request(path)
	}
	e.services["plain"].more(t, 2)
	for name, s := range e.services {
		var file bytes.Buffer
		s.mu.Lock()
		for _, b := range s.messages {
			var m metricsv3.StreamMetricsMessage
			require.NoError(t, proto.Unmarshal(b, &m))
			if n := m.GetIdentifier().GetNode(); n != nil {
				n.Extensions = nil // 60 kB that nobody reads
			}
			_, err := protodelim.MarshalTo(&file, &m)
			require.NoError(t, err)
		}
		s.mu.Unlock()
		require.NoError(t, os.WriteFile("testdata/"+name+".binpb", file.Bytes(), 0o600))
	}
}

// Tags in names or as labels, batches and deltas: all of it is one Envoy.
func TestRecordedStreamsAgree(t *testing.T) {
	want := exposed(t, fed(t, messagesOf(t, "tags")))
	require.Greater(t, len(want), 300)
	for _, name := range []string{"plain", "deltas", "batch"} {
		got := exposed(t, fed(t, messagesOf(t, name)))
		for key := range want {
			if moves(key) {
				delete(got, key)
			}
		}
		still := exposition{}
		for key, value := range want {
			if !moves(key) {
				still[key] = value
			}
		}
		if diff := cmp.Diff(still, got); diff != "" {
			t.Errorf("%s (-tags +%s):\n%.3000s", name, name, diff)
		}
	}
}

func TestRecordedModes(t *testing.T) {
	for name, want := range map[string]string{"tags": "cumulative", "plain": "cumulative", "batch": "cumulative", "deltas": "deltas"} {
		k := fed(t, messagesOf(t, name))
		require.Equal(t, want, k.Nodes(time.Now())[0].Mode, name)
		require.Zero(t, k.Totals().Malformed)
	}
}

// What the reading relies on, as Envoy 1.40 does it.
func TestWhatEnvoySends(t *testing.T) {
	for _, name := range []string{"tags", "plain", "deltas", "batch"} {
		rounds := map[int64]map[string]int{} // by time: how often a stat of a type came
		for i, b := range messagesOf(t, name) {
			var m metricsv3.StreamMetricsMessage
			require.NoError(t, proto.Unmarshal(b, &m))
			require.Equal(t, i == 0, m.GetIdentifier() != nil, "the identifier comes once")
			if name == "batch" {
				require.LessOrEqual(t, len(m.GetEnvoyMetrics()), 100)
			} else {
				require.Greater(t, len(m.GetEnvoyMetrics()), 200)
			}
			at := m.GetEnvoyMetrics()[0].GetMetric()[0].GetTimestampMs()
			if rounds[at] == nil {
				rounds[at] = map[string]int{}
			}
			for _, f := range m.GetEnvoyMetrics() {
				require.Len(t, f.GetMetric(), 1, "a family is one stat")
				require.Equal(t, at, f.GetMetric()[0].GetTimestampMs(), "all of a flush have the same time")
				rounds[at][f.GetType().String()+f.GetName()+fmt.Sprint(f.GetMetric()[0].GetLabel())]++
			}
		}
		require.GreaterOrEqual(t, len(rounds), 3)
		for _, stats := range rounds {
			histograms := 0
			for key, n := range stats {
				require.Equal(t, 1, n, key)
				if stat, is := strings.CutPrefix(key, "HISTOGRAM"); is {
					histograms++
					require.Contains(t, stats, "SUMMARY"+stat, "both come by default")
				}
			}
			require.Positive(t, histograms)
		}
	}
}

// Histograms tell of the last flush interval whatever the counters do: they fall.
func TestEnvoysHistogramsAreOfAnInterval(t *testing.T) {
	for _, name := range []string{"tags", "deltas"} {
		last, fell := map[string]uint64{}, false
		for _, b := range messagesOf(t, name) {
			var m metricsv3.StreamMetricsMessage
			require.NoError(t, proto.Unmarshal(b, &m))
			for _, f := range m.GetEnvoyMetrics() {
				if h := f.GetMetric()[0].GetHistogram(); h != nil {
					key := f.GetName() + fmt.Sprint(f.GetMetric()[0].GetLabel())
					fell = fell || h.GetSampleCount() < last[key]
					last[key] = h.GetSampleCount()
				}
			}
		}
		require.True(t, fell, name)
	}
}
