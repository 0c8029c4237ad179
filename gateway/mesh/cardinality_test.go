package mesh

import (
	"fmt"
	"testing"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestCardinality(t *testing.T) {
	now := time.Now()
	a := New(Options{MaxSeries: 15}, now)
	s := a.Open(node(t, "sidecar~10.0.0.1~web-1.default~x", "app", "web", "version", "v1"))
	defer s.Close()
	var entries []*accesslogdatav3.HTTPAccessLogEntry
	for service := range 3 {
		for code := range uint32(4 + service/2) { // 4, 4 and 5 codes
			entries = append(entries, request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
				e.CommonProperties.UpstreamCluster = fmt.Sprintf("outbound|80||s%d.default.svc.cluster.local", service)
				e.Response.ResponseCode = wrapperspb.UInt32(200 + code)
			}))
		}
	}
	for i := range 4 { // two in the bound, two over it
		entries = append(entries, request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
			e.CommonProperties.UpstreamCluster, e.Request.Authority = "", fmt.Sprintf("x%d.example.com", i)
		}))
	}
	if err := s.Add(message(t, entries...)); err != nil {
		t.Fatal(err)
	}
	flush(t, a, now.Add(time.Second))
	c := a.Cardinality(2)
	if c.Kept != 16 || c.Max != 15 || c.Overflow != 2 || c.Authorities != 4 || c.MaxAuthorities != maxAuthorities || c.Protocols["http"] != 16 {
		t.Errorf("got %+v", c)
	}
	if len(c.Edges) != 2 || c.Edges[0] != (EdgeCost{Unknown, Unknown, "s2.default.svc.cluster.local", 5}) || c.Edges[1].Series != 4 {
		t.Errorf("edges: %+v", c.Edges)
	}
	costs := map[string]LabelCost{}
	for _, l := range c.Labels {
		costs[l.Label] = l
	}
	f := func(label string, values, left int) {
		t.Helper()
		if got := costs[label]; got.Values != values || got.LeftWithout != left {
			t.Errorf("%s: got %+v, want %d values, %d left", label, got, values, left)
		}
	}
	// Three services, two authorities and other, each with code 200 at least.
	f("response_code", 5, 6)
	// Without it the name still tells them apart.
	f("destination_service", 6, 16)
	f("reporter", 1, 16)
	if len(c.Labels) != 25 || c.Labels[0].Label != "response_code" {
		t.Errorf("%d labels, want 25, response_code first: %+v", len(c.Labels), c.Labels)
	}
}

func BenchmarkCardinality(b *testing.B) {
	sets := make([][]Label, 20_000)
	for i := range sets {
		for n := range 26 {
			sets[i] = append(sets[i], Label{fmt.Sprintf("destination_label_%d", n), fmt.Sprintf("value-%d", i%(n+1))})
		}
	}
	for b.Loop() {
		labelCosts(sets)
	}
}
