package mesh_test

import (
	"strings"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/protobuf/proto"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
	"github.com/lockkeeper/lockkeeper/gateway/mesh/load"
)

// stream opens a stream of the load, as one of an ingress, or one whose tries are told, or neither, and returns it with its messages and
// their number of entries.
func stream(tb testing.TB, shape load.Shape, ingress, tried bool) (*mesh.Stream, [][]byte, int) {
	tb.Helper()
	messages, err := load.Messages(1, 512, shape)
	if err != nil {
		tb.Fatal(err)
	}
	entries, err := load.Entries(messages)
	if err != nil {
		tb.Fatal(err)
	}
	node, err := mesh.ReadNode(messages[0], mesh.IDCSource{})
	if err != nil {
		tb.Fatal(err)
	}
	a := mesh.New(mesh.Options{Ingress: []string{node.LogName, node.Workload()}}, time.Now())
	if ingress {
		node.Trusted, node.IDC = true, "idc1"
		a.WatchIngress()
	}
	if tried {
		node.Trusted = true
		a.WatchEndpoints(true)
	}
	s := a.Open(node)
	for _, m := range messages { // every series and peer is known from here on
		if err := s.Add(m); err != nil {
			tb.Fatal(err)
		}
	}
	return s, messages[1:], entries
}

// BenchmarkAdd is walk and aggregation of one stream on one core.
func BenchmarkAdd(b *testing.B) {
	for name, shape := range map[string]load.Shape{
		"mixed": {}, "sidecar": {Sidecar: true}, "mixed any field order": {AnyOrder: true}, "sidecar any field order": {Sidecar: true, AnyOrder: true},
		"ingress": {Sidecar: true}, "mixed tried": {}, "sidecar tried": {Sidecar: true},
	} {
		b.Run(name, func(b *testing.B) {
			s, messages, entries := stream(b, shape, name == "ingress", strings.HasSuffix(name, " tried"))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if err := s.Add(messages[n%len(messages)]); err != nil {
					b.Fatal(err)
				}
				n++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/(float64(b.N)*float64(entries)/512), "ns/entry")
		})
	}
}

// BenchmarkGenerated is what the generated types need for the decoding alone: the yardstick for BenchmarkAdd.
func BenchmarkGenerated(b *testing.B) {
	_, messages, entries := stream(b, load.Shape{}, false, false)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		var m accesslogv3.StreamAccessLogsMessage
		if err := proto.Unmarshal(messages[n%len(messages)], &m); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/(float64(b.N)*float64(entries)/512), "ns/entry")
}

func TestAddDoesNotAllocate(t *testing.T) {
	for i, shape := range []load.Shape{{}, {AnyOrder: true}, {Sidecar: true}} {
		s, messages, _ := stream(t, shape, i == 2, i != 1)
		n := 0
		if allocs := testing.AllocsPerRun(1000, func() {
			if err := s.Add(messages[n%len(messages)]); err != nil {
				t.Fatal(err)
			}
			n++
		}); allocs > 0 {
			t.Errorf("%+v: %v allocations per message, want none", shape, allocs)
		}
	}
}
