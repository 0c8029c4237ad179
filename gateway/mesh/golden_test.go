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

// aggregate counts a recording as a gateway would, and returns its series.
func aggregate(t *testing.T, messages []*accesslogv3.StreamAccessLogsMessage) []Series {
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
	return flush(t, a, start.Add(5*time.Second))
}

func flush(t *testing.T, a *Aggregator, now time.Time) []Series {
	t.Helper()
	var all []Series
	if err := a.Flush(now, 1<<20, func(*Series) int { return 1 << 12 }, func(batch []Series) error {
		all = append(all, batch...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// text writes a series as PromQL would show it, leaving out what is unknown.
func text(s *Series) string {
	var labels []string
	for _, l := range s.Labels {
		if l.Value != Unknown && !(strings.HasSuffix(l.Name, "canonical_revision") && l.Value == "latest") {
			labels = append(labels, fmt.Sprintf("%s=%q", l.Name, l.Value))
		}
	}
	if s.TCP {
		return fmt.Sprintf("{%s} opened %d, closed %d, received %d, sent %d", strings.Join(labels, ","), s.Opened, s.Requests, s.Received, s.Sent)
	}
	return fmt.Sprintf("{%s} requests %d, request bytes %v, response bytes %v", strings.Join(labels, ","), s.Requests,
		s.Distributions[requestBytes].Sum, s.Distributions[responseBytes].Sum)
}

func TestRecordedStreamsGiveGoldenSeries(t *testing.T) {
	for file, messages := range corpus(t) {
		name := strings.ReplaceAll(strings.TrimPrefix(strings.TrimSuffix(file, ".binpb"), "testdata/corpus/"), "/", "_")
		t.Run(name, func(t *testing.T) {
			series := aggregate(t, messages)
			lines := make([]string, len(series))
			for i := range series {
				lines[i] = text(&series[i]) + "\n"
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
