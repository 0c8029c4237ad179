package mesh

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	gocmp "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// streamOf tells the streams of a recording apart: those of two proxies are interleaved, and only their entries' reporter says
// which is which.
func streamOf(m *accesslogv3.StreamAccessLogsMessage) string {
	for _, e := range m.GetHttpLogs().GetLogEntry() { // TCP was recorded of one proxy alone
		return e.GetCommonProperties().GetCustomTags()["reporter"]
	}
	return ""
}

// aggregate counts a recording as a gateway would, and returns what it exports.
func aggregate(t *testing.T, messages []*accesslogv3.StreamAccessLogsMessage) ([]Series, []Counter) {
	t.Helper()
	start := time.Unix(1700000000, 0)
	a := New(Options{}, start)
	streams := map[string]*Stream{}
	for _, m := range messages {
		of := streamOf(m)
		if streams[of] == nil {
			node := Node{ID: "unnamed", IDC: Unknown} // the single entries were recorded without an identifier
			if m.GetIdentifier() != nil {
				var err error
				if node, err = ReadNode(marshal(t, m), IDCSource{}); err != nil {
					t.Fatal(err)
				}
			}
			streams[of] = a.Open(node)
		}
		if err := streams[of].Add(marshal(t, m)); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range streams {
		s.Close()
	}
	return flushAll(t, a, start.Add(5*time.Second))
}

func flush(t *testing.T, a *Aggregator, now time.Time) []Series {
	t.Helper()
	series, _ := flushAll(t, a, now)
	return series
}

func flushAll(t *testing.T, a *Aggregator, now time.Time) (series []Series, counters []Counter) {
	t.Helper()
	if err := a.Flush(now, Exporter{
		MaxWeight: 10, SeriesWeight: func(*Series) int { return 1 }, CounterWeight: func(*Counter) int { return 1 },
		Series: func(batch []Series) error {
			series = append(series, batch...)
			return nil
		},
		Counters: func(batch []Counter) error {
			counters = append(counters, batch...)
			return nil
		},
	}); err != nil {
		t.Fatal(err)
	}
	return series, counters
}

// known writes labels as PromQL would show them, leaving out what is unknown.
func known(labels []Label) string {
	var known []string
	for _, l := range labels {
		if l.Value != Unknown && !(strings.HasSuffix(l.Name, "canonical_revision") && l.Value == "latest") {
			known = append(known, fmt.Sprintf("%s=%q", l.Name, l.Value))
		}
	}
	return strings.Join(known, ",")
}

func text(s *Series) string {
	if s.TCP {
		return fmt.Sprintf("{%s} opened %d, closed %d, received %d, sent %d", known(s.Labels), s.Opened, s.Requests, s.Received, s.Sent)
	}
	return fmt.Sprintf("{%s} requests %d, request bytes %v, response bytes %v", known(s.Labels), s.Requests,
		s.Distributions[requestBytes].Sum, s.Distributions[responseBytes].Sum)
}

func TestRecordedStreamsGiveGoldenSeries(t *testing.T) {
	for file, messages := range corpus(t) {
		name := strings.ReplaceAll(strings.TrimPrefix(strings.TrimSuffix(file, ".binpb"), "testdata/corpus/"), "/", "_")
		t.Run(name, func(t *testing.T) {
			series, counters := aggregate(t, messages)
			var lines []string
			for _, s := range series {
				lines = append(lines, text(&s)+"\n")
			}
			for _, c := range counters {
				lines = append(lines, fmt.Sprintf("%s{%s} %v\n", c.Name, known(c.Labels), c.Value))
			}
			slices.SortFunc(lines, cmp.Compare)
			got := strings.Join(lines, "")
			golden := filepath.Join("testdata", "golden", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-golden +got):\n%s", diff)
			}
		})
	}
}
