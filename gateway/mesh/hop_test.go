package mesh

import (
	"fmt"
	"testing"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// twoEnds is a gateway with a client in one IDC and a server in another.
type twoEnds struct {
	t              *testing.T
	a              *Aggregator
	start          time.Time
	client, server *Stream
}

func newTwoEnds(t *testing.T) *twoEnds {
	e := &twoEnds{t: t, start: time.Unix(1700000000, 0)}
	e.a = New(Options{}, e.start)
	e.server = e.a.Open(workloadNode("sidecar~10.2.0.7~reviews-1.default~x", "idc-b", "reviews-v1"))
	e.client = e.a.Open(workloadNode("sidecar~10.1.0.1~web-1.default~x", "idc-a", "web-v1"))
	return e
}

func workloadNode(id, idc, name string) Node {
	n := Node{ID: id, IDC: idc, peer: Peer{workload: name, namespace: "default"}}
	n.ips = []string{id[len("sidecar~"):][:len("10.1.0.1")]}
	return n
}

// sent is a request that the client's Envoy logged, from at on for a second.
func (e *twoEnds) sent(at time.Duration, attempts uint32, change func(*accesslogdatav3.HTTPAccessLogEntry)) {
	e.t.Helper()
	m := message(e.t, request(func(r *accesslogdatav3.HTTPAccessLogEntry) {
		r.CommonProperties.StartTime, r.CommonProperties.Duration = timestamppb.New(e.start.Add(at)), durationpb.New(time.Second)
		r.CommonProperties.UpstreamRequestAttemptCount = attempts
		r.CommonProperties.UpstreamRemoteAddress = socket("10.2.0.7", 8080)
		r.CommonProperties.FilterStateObjects = map[string]*anypb.Any{"upstream_peer": peerStruct("workload", "reviews-v1", "namespace", "default")}
		if change != nil {
			change(r)
		}
	}))
	if err := e.client.Add(m); err != nil {
		e.t.Fatal(err)
	}
}

// received is a request that the server's Envoy logged.
func (e *twoEnds) received(at time.Duration) {
	e.t.Helper()
	m := message(e.t, request(func(r *accesslogdatav3.HTTPAccessLogEntry) {
		r.CommonProperties.StartTime, r.CommonProperties.Duration = timestamppb.New(e.start.Add(at)), durationpb.New(time.Second)
		r.CommonProperties.UpstreamCluster = "inbound|8080||"
		r.CommonProperties.DownstreamDirectRemoteAddress = socket("10.1.0.1", 40000)
		r.CommonProperties.FilterStateObjects = map[string]*anypb.Any{"downstream_peer": peerStruct("workload", "web-v1", "namespace", "default")}
	}))
	if err := e.server.Add(m); err != nil {
		e.t.Fatal(err)
	}
}

// flush returns the metrics of the hops.
func (e *twoEnds) flush(after time.Duration) string {
	e.t.Helper()
	got := map[string]string{}
	_, counters := flushAll(e.t, e.a, e.start.Add(after))
	for _, c := range counters {
		l := Series{Labels: c.Labels}
		if label(l, "destination_idc") != "" {
			key := fmt.Sprint(c.Name[len("lockkeeper_edge_"):], " ", label(l, "source_workload"), "@", label(l, "idc"), " ", label(l, "destination_workload"), "@", label(l, "destination_idc"))
			got[key] = fmt.Sprintf("%.4g", c.Value)
			if c.Ended {
				got[key] = "ended"
			}
		}
	}
	return fmt.Sprint(got)
}

func TestLoss(t *testing.T) {
	e := newTwoEnds(t)
	const hop = " web-v1@idc-a reviews-v1@idc-b:"
	f := func(after time.Duration, want string) {
		t.Helper()
		if got := e.flush(after); got != want {
			t.Errorf("after %v: got %s, want %s", after, got, want)
		}
	}
	e.sent(-30*time.Second, 2, nil) // before it was known who is there
	e.received(-30 * time.Second)
	f(-25*time.Second, "map[received_total"+hop+"1 sent_total"+hop+"2]")
	for i := range 8 {
		e.sent(0, 1, nil)
		if i < 6 {
			e.received(0)
		}
	}
	e.sent(0, 3, nil)                                          // two retries
	e.sent(0, 1, func(r *accesslogdatav3.HTTPAccessLogEntry) { // never left
		r.CommonProperties.UpstreamRemoteAddress = nil
		r.CommonProperties.ResponseFlags = &accesslogdatav3.ResponseFlags{NoHealthyUpstream: true}
	})
	f(5*time.Second, "map[received_total"+hop+"7 sent_total"+hop+"13]")         // the slot may still be filled
	e.received(9500 * time.Millisecond)                                         // of the next slot
	f(20*time.Second, "map[loss_ratio"+hop+"0.4545"+" received_total"+hop+"8]") // the first slot is complete
	f(25*time.Second, "map[]")                                                  // nothing new
	f(30*time.Second, "map[loss_ratio"+hop+"0.3636"+"]")                        // now the second is
	if edges := e.a.Edges(e.start.Add(30 * time.Second)); len(edges) != 2 || edges[0].Loss == nil || *edges[0].Loss != 4./11 {
		t.Errorf("got %+v, want the loss", edges)
	}
	e.sent(25*time.Second, 1, nil)
	e.received(0) // late, but in time for its slot
	f(50*time.Second, "map[loss_ratio"+hop+"0.3333"+" received_total"+hop+"9 sent_total"+hop+"14]")
	for range 20 {
		e.received(30 * time.Second)
	}
	f(75*time.Second, "map[loss_ratio"+hop+"0 received_total"+hop+"29]") // more was received than sent: no loss
	e.server.Close()
	f(80*time.Second, "map[loss_ratio"+hop+"ended]")
	if e.a.hops[hopKey{"web-v1", "default", "reviews-v1", "default", "idc-a", "idc-b"}].loss.gone == false {
		t.Error("the destination's telemetry is lost, not its traffic: no ratio")
	}
	e.sent(80*time.Second, 1, nil) // whether it arrived will never be known
	e.flush(85 * time.Second)
	e.server = e.a.Open(e.server.node)
	e.sent(100*time.Second, 1, nil)
	e.received(100 * time.Second)
	f(105*time.Second, "map[received_total"+hop+"30 sent_total"+hop+"16]")
	f(125*time.Second, "map[loss_ratio"+hop+"0]")
	e.server.Close()
	flushAll(t, e.a, e.start.Add(30*time.Minute))
	flushAll(t, e.a, e.start.Add(31*time.Minute))
	if len(e.a.hops) != 0 || len(e.a.counters) != 0 {
		t.Errorf("%d hops and %d counters are left", len(e.a.hops), len(e.a.counters))
	}
}

func TestOneEndTellsNoLoss(t *testing.T) {
	e := newTwoEnds(t)
	e.sent(0, 1, nil)
	if got, want := e.flush(25*time.Second), "map[sent_total web-v1@idc-a reviews-v1@idc-b:1]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestFarEndIsLearnedWhenItsNodeComes(t *testing.T) {
	e := newTwoEnds(t)
	e.server.Close()
	e.a.addresses.known = map[place]resident{} // as before the server came
	e.sent(0, 1, nil)
	e.server = e.a.Open(e.server.node)
	e.sent(0, 1, nil)
	if got, want := e.flush(5*time.Second), "map[sent_total web-v1@idc-a reviews-v1@idc-a:1 sent_total web-v1@idc-a reviews-v1@idc-b:1]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// Nodes of two IDCs at one address: the far end cannot be told.
	e.a.Open(workloadNode("sidecar~10.2.0.7~ratings-1.default~x", "idc-c", "ratings-v1"))
	flushAll(t, e.a, e.start.Add(2*time.Minute))
	e.sent(0, 1, nil)
	if got, want := e.flush(3*time.Minute), "map[sent_total web-v1@idc-a reviews-v1@idc-a:2"; len(got) < len(want) || got[:len(want)] != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestHopsAreBounded(t *testing.T) {
	e := newTwoEnds(t)
	e.a.options.MaxSeries = 2
	e.sent(0, 1, nil)
	e.received(0)
	e.flush(5 * time.Second)
	e.sent(0, 1, func(r *accesslogdatav3.HTTPAccessLogEntry) {
		r.CommonProperties.FilterStateObjects["upstream_peer"] = peerStruct("workload", "ratings-v1", "namespace", "default")
	})
	e.flush(10 * time.Second)
	if len(e.a.hops) != 1 || e.a.Totals().HopOverflow != 1 {
		t.Errorf("%d hops and %d requests beyond, want one and one", len(e.a.hops), e.a.Totals().HopOverflow)
	}
}
