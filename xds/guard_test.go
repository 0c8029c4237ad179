package xds

import (
	"testing"
	"testing/synctest"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// A cluster that panics keeps its last state, and no other from what is decided. The next decision mends it.
func TestPanicInOverlay(t *testing.T) {
	f := startFleet(t, map[string]string{"endpoints.yaml": twoClusters, "routes.yaml": edgeRoutes})
	f.decider.decide(Serving{IDCs: shares(5_000, 5_000)})
	one, two := f.endpoints(t, "one"), f.endpoints(t, "two")
	f.plant(func(c *Cluster, s *Serving) (*endpointv3.ClusterLoadAssignment, tally) {
		if c.Name == "one" {
			panic("planted")
		}
		return assign(c, s)
	})
	f.decider.decide(Serving{IDCs: shares(5_000, 5_000), Out: dead("machine/a")})
	require.Equal(t, one, f.endpoints(t, "one"))
	require.NotEqual(t, two, f.endpoints(t, "two"))
	require.Positive(t, f.counter(t, "lockkeeper_xds_panics_total", "part", "overlay"))
	require.Contains(t, f.logs.FilterMessageSnippet("A bug").All()[0].ContextMap()["error"], `cluster "one": panic: planted`)
	f.plant(assign)
	f.decider.decide(Serving{IDCs: shares(5_000, 5_000), Out: dead("machine/a", "machine/nobody")}) // which concerns no cluster
	require.NotEqual(t, one, f.endpoints(t, "one"))
}

// plant replaces how clusters are worked out.
func (f *fleet) plant(assign func(*Cluster, *Serving) (*endpointv3.ClusterLoadAssignment, tally)) {
	f.overlay.mu.Lock()
	defer f.overlay.mu.Unlock()
	f.overlay.assign = assign
}

// What panics while everything is worked out anew is not taken for what is gone.
func TestPanicInRenew(t *testing.T) {
	clusters, err := joined(twoClusters)
	require.NoError(t, err)
	o := newOverlay(NewCache())
	require.NoError(t, o.setServing(&Serving{}))
	route := &Route{config: &routev3.RouteConfiguration{Name: "r"}}
	require.NoError(t, o.setContent(&Content{Clusters: clusters, Routes: []*Route{route}}))
	before := o.cache.find(AssignmentType, "one")
	require.NotNil(t, before)
	o.assign = func(c *Cluster, s *Serving) (*endpointv3.ClusterLoadAssignment, tally) { panic("planted") }
	broken := &Route{config: &routev3.RouteConfiguration{Name: "r"}, edges: []edge{{host: 7, idcs: []string{"idc1"}}}}
	require.ErrorContains(t, o.setContent(&Content{Clusters: clusters, Routes: []*Route{broken}}), "planted")
	require.Same(t, before, o.cache.find(AssignmentType, "one"))
	require.ErrorContains(t, o.setServing(&Serving{IDCs: shares(1, 1)}), "index out of range")
	require.NotNil(t, o.cache.find(RouteType, "r"))
	o.assign = assign
	require.NoError(t, o.setContent(&Content{Clusters: clusters[:1]}))
	require.Nil(t, o.cache.find(RouteType, "r"))
	require.NotNil(t, o.cache.find(AssignmentType, "one"))
	require.Nil(t, o.cache.find(AssignmentType, "two"))
}

// A decision that cannot be taken up at all does not begin to serve nothing.
func TestPanicBeforeServing(t *testing.T) {
	clusters, err := joined(twoClusters)
	require.NoError(t, err)
	x := newXDS(createDefaultConfig(), componenttest.NewNopTelemetrySettings())
	began := false
	x.begin = func() { began = true }
	x.overlay.content = &Content{Clusters: []*Cluster{nil}}
	x.apply(&Serving{})
	require.False(t, began)
	x.overlay.content = &Content{Clusters: clusters}
	x.apply(&Serving{})
	require.True(t, began)
	require.NotNil(t, x.cache.find(AssignmentType, "one"))
}

// A file that panics whoever reads it is one with mistakes.
func TestPanicInSource(t *testing.T) {
	f := startFleet(t, map[string]string{"endpoints.yaml": twoClusters})
	f.decider.decide(Serving{})
	one := f.files.all[0]
	took, err := (&file{name: one.name, take: func(string, []byte) error { panic("planted") }}).load(&f.files.guard)
	require.False(t, took)
	require.ErrorContains(t, err, "planted")
	require.EqualValues(t, 1, f.counter(t, "lockkeeper_xds_panics_total", "part", "source"))
}

// A stream that panics is ended, by whichever of its goroutines; the others go on, and it may come again.
func TestPanicInStream(t *testing.T) {
	for _, delta := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			core, logs := observer.New(zap.ErrorLevel)
			w := newWire(t, Options{Logger: zap.New(core)})
			w.delta, w.separate = delta, true
			names := map[bool]string{false: "*", true: "+*"}[delta]
			w.play("set eds a=1; cds a=1\nask eds " + names + "\nwant eds a=1")
			broken := w.cache.types[ClusterType].entries["a"]
			good := broken.resource
			broken.resource = nil
			w.play("ask cds " + names + "\nwant error Internal\nset eds a=2\nwant eds a=2")
			broken.resource = good
			delete(w.clients, "cds")
			w.play("ask cds " + names + "\nwant cds a=1")
			require.EqualValues(t, 1, w.server.guard.caught.Load())
			require.Len(t, w.cache.streams, 2)

			w.server.onNACK = func(NACK) { panic("planted") }
			w.play("nack eds\nwant error Internal\nset cds a=2\nwant cds a=2")
			require.EqualValues(t, 2, w.server.guard.caught.Load())
			require.Equal(t, 1, logs.Len(), "one a minute")
		})
	}
}

func TestGuardTellsOnceAMinute(t *testing.T) {
	var g guard
	start := time.Unix(1, 0)
	f := func(after time.Duration, full bool) {
		t.Helper()
		require.Equal(t, full, g.catch("planted", start.Add(after)).full)
	}
	f(0, true)
	f(time.Second, false)
	f(tellEvery, true)
	f(tellEvery+time.Second, false)
	require.EqualValues(t, 4, g.caught.Load())
	require.NoError(t, g.do(func() error { return nil }))
}
