package mesh

import (
	"fmt"
	"strings"
	"testing"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/proto"
)

func paths(t *testing.T, failures []Failure) (all []string) {
	t.Helper()
	for _, f := range failures {
		var e accesslogdatav3.HTTPAccessLogEntry
		if err := proto.Unmarshal(f.Raw, &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s %s %s", f.Reporter, f.Flags, e.GetRequest().GetPath()))
	}
	return all
}

func TestFailuresOfALink(t *testing.T) {
	e := newTwoEnds(t)
	path := func(n int, fails bool) func(*accesslogdatav3.HTTPAccessLogEntry) {
		return func(r *accesslogdatav3.HTTPAccessLogEntry) {
			if r.Request.Path = fmt.Sprintf("/%d", n); fails {
				failed(r)
			}
		}
	}
	for i := range 10 { // of these the last two are kept, in the room of those before
		e.sent(0, 1, path(i, i != 4))
		e.received(0)
	}
	e.flush(time.Second)
	p := e.a.Picture()
	got := strings.Join(paths(t, e.a.Failures(&p.Links[0])), "; ")
	if want := "source UF /8; source UF /9"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for i := range 30 {
		e.sent(0, 1, path(100+i, true))
		e.flush(time.Duration(2+i) * time.Second)
	}
	kept := paths(t, e.a.Failures(&e.a.Picture().Links[0]))
	if len(kept) != failuresKept || kept[0] != "source UF /110" || kept[failuresKept-1] != "source UF /129" {
		t.Errorf("got %v", kept)
	}
	if n := e.a.failures.waiting.Load(); n != 0 {
		t.Errorf("%d bytes wait after all was merged", n)
	}
}

// However much fails, what is kept of it is bounded, the oldest goes first, and what was kept of edges that are gone is gone.
func TestFailuresAreBounded(t *testing.T) {
	start := time.Unix(1700000000, 0)
	a := New(Options{Idle: time.Minute}, start)
	var streams []*Stream
	for range 10 {
		streams = append(streams, a.Open(node(t, "sidecar~10.0.0.1~web-1.default~x", "app", "web")))
	}
	fail := func(edge, bytes int) {
		add(t, streams[edge%len(streams)], message(t, request(func(r *accesslogdatav3.HTTPAccessLogEntry) {
			failed(r)
			r.CommonProperties.UpstreamCluster = fmt.Sprintf("outbound|80||service-%d.default.svc.cluster.local", edge)
			r.Request.UserAgent = strings.Repeat("x", bytes)
		})))
	}
	fail(0, 2*failureMost)
	a.mergeStreams(start)
	if n := a.failures.edges.Len(); n != 0 {
		t.Errorf("an entry of %d bytes is kept", 2*failureMost)
	}
	for i := range 200 { // more than may wait
		for range failuresWait {
			fail(i, failureMost-2000)
		}
	}
	if n := a.failures.waiting.Load(); n > failuresWaiting || n < failuresWaiting-failureMost {
		t.Errorf("%d bytes wait", n)
	}
	a.mergeStreams(start.Add(time.Second))
	for i := range failureEdges + 500 {
		fail(i, 0)
		if i%500 == 0 {
			a.mergeStreams(start.Add(2 * time.Second))
		}
	}
	a.mergeStreams(start.Add(3 * time.Second))
	if n := a.failures.edges.Len(); n != failureEdges {
		t.Errorf("%d edges have failures", n)
	}
	for range 30 {
		for i := range 80 {
			for range failuresWait {
				fail(i, failureMost-2000)
			}
		}
		a.mergeStreams(start.Add(4 * time.Second))
	}
	kept := 0
	for _, e := range a.edges {
		for _, one := range e.failures {
			kept += cap(one.raw)
		}
	}
	if kept != a.failures.kept || kept > failureBytes || kept < failureBytes/2 {
		t.Errorf("%d bytes are kept, %d are known of", kept, a.failures.kept)
	}
	for i := range 5 {
		flushAll(t, a, start.Add(time.Duration(2+i)*time.Minute))
	}
	if a.failures.edges.Len() != 0 || a.failures.kept != 0 {
		t.Errorf("%d edges, %d bytes after all of them are gone", a.failures.edges.Len(), a.failures.kept)
	}
}
