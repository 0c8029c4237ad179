package xds

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// figures are the server's metrics: name{label=value,…} and the value; of a histogram, its count.
func figures(t *testing.T, reader *metric.ManualReader) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	found := map[string]int64{}
	key := func(name string, set attribute.Set) string {
		var labels []string
		for _, kv := range set.ToSlice() {
			labels = append(labels, string(kv.Key)+"="+kv.Value.String())
		}
		return strings.TrimPrefix(name, "lockkeeper_xds_") + "{" + strings.Join(labels, ",") + "}"
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					found[key(m.Name, p.Attributes)] = p.Value
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					found[key(m.Name, p.Attributes)] = p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					found[key(m.Name, p.Attributes)] = int64(p.Count)
				}
			}
		}
	}
	return found
}

// counts plays a script and looks at the metrics after it.
func counts(t *testing.T, delta bool, script string, want map[string]int64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		reader := metric.NewManualReader()
		w := newWire(t, Options{Meter: metric.NewMeterProvider(metric.WithReader(reader))})
		w.delta = delta
		w.play(script)
		synctest.Wait()
		got := figures(t, reader)
		for name, n := range want {
			require.Equal(t, n, got[name], "%s of %v", name, got)
		}
	})
}

func TestMetrics(t *testing.T) {
	counts(t, true, `
		set eds a=1 b=1 c=1; cds a=1
		ask eds +a +b
		want eds a=1 b=1
		ask cds
		want cds a=1
		set eds a=2
		want eds a=2`, map[string]int64{
		"streams{protocol=delta,type=ads}": 1, "streams{protocol=sotw,type=ads}": 0,
		"pushes_total{type=eds}": 2, "pushes_total{type=cds}": 1, "push_duration_seconds{type=eds}": 1,
		"resources{type=eds}": 3, "subscriptions{type=eds}": 2, "subscriptions{type=cds}": 1, "nacks_total{type=eds}": 0,
	})
	counts(t, false, "hold\nset eds a=1\nask eds a\nwant eds a=1\nnack eds", map[string]int64{"nacks_total{type=eds}": 1, "streams{protocol=sotw,type=ads}": 1})
	counts(t, false, "set eds a=1\nask eds a\nwant eds a=1\nstale eds a", map[string]int64{"stale_requests_total{}": 1})
	counts(t, true, "anonymous eds\nask eds +a", map[string]int64{"streams_refused_total{reason=no_node}": 1, "streams{protocol=delta,type=ads}": 0})
	counts(t, true, "ask none +a", map[string]int64{"streams_refused_total{reason=type}": 1})
}

func TestRefusesTheWrongType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, Options{})
		w.separate = true
		c := w.stream("eds")
		require.NoError(t, c.s.SendMsg(&discoveryv3.DiscoveryRequest{Node: &corev3.Node{Id: "client"}, TypeUrl: ClusterType}))
		w.play("want error InvalidArgument")
	})
}

func TestLimitsNames(t *testing.T) {
	counts(t, true, "ask eds"+strings.Repeat(" +x", 3)+many("+", maxNames+1)+"\nwant error ResourceExhausted", map[string]int64{"streams_refused_total{reason=too_many_names}": 1})
	counts(t, true, "ask eds"+many("+", 1000)+many("-", 1000)+"\nask eds +a", map[string]int64{"subscriptions{type=eds}": 1, "streams_refused_total{reason=too_many_names}": 0})
}

// Names are bounded by their bytes, too, those that are only owed included: the client here reads nothing, and so is told of nothing.
func TestLimitsBytes(t *testing.T) {
	f := func(asks int, request func(n int) *discoveryv3.DeltaDiscoveryRequest) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			w := newWire(t, Options{})
			w.delta = true
			w.set("odd a=" + strings.Repeat("x", 1<<20)) // more than a client that does not read has room for
			s := w.open("discovery.v3.Aggregated", "AggregatedResources")
			typeURL := typeURLs()["odd"]
			require.NoError(t, s.SendMsg(&discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: "client"}, TypeUrl: typeURL, ResourceNamesSubscribe: []string{"*"}}))
			synctest.Wait()
			go func() {
				for n := range asks {
					if s.SendMsg(request(n)) != nil {
						return
					}
				}
			}()
			time.Sleep(time.Minute)
			var err error
			for err == nil {
				err = s.RecvMsg(&discoveryv3.DeltaDiscoveryResponse{})
			}
			require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
			synctest.Wait()
			require.Empty(t, w.cache.streams)
		})
	}
	long := strings.Repeat("x", 1<<20)
	// Few names, but long ones.
	f(40, func(n int) *discoveryv3.DeltaDiscoveryRequest {
		return &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURLs()["odd"], ResourceNamesSubscribe: []string{fmt.Sprint(n, long)}}
	})
	// Names that are given up at once.
	f(40, func(n int) *discoveryv3.DeltaDiscoveryRequest {
		names := []string{fmt.Sprint(n, long)}
		return &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURLs()["odd"], ResourceNamesSubscribe: names, ResourceNamesUnsubscribe: names}
	})
	f(120, func(n int) *discoveryv3.DeltaDiscoveryRequest {
		names := strings.Fields(many(fmt.Sprint(n, "-"), 1000))
		return &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURLs()["odd"], ResourceNamesSubscribe: names, ResourceNamesUnsubscribe: names}
	})
	// Versions that it says it has, of all the types that there may be.
	f(maxTypes, func(n int) *discoveryv3.DeltaDiscoveryRequest {
		return &discoveryv3.DeltaDiscoveryRequest{TypeUrl: fmt.Sprint("type", n), InitialResourceVersions: map[string]string{"a": long}}
	})
}

func TestLimitsTypes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, Options{})
		require.NoError(t, w.stream("cds").s.SendMsg(&discoveryv3.DiscoveryRequest{Node: &corev3.Node{Id: "client"}, TypeUrl: strings.Repeat("x", maxTypeURL+1)}))
		w.play("want error InvalidArgument")
	})
}

// What is kept of a client's words is no more than it seems.
func TestClip(t *testing.T) {
	long := strings.Repeat("ü", 1<<20)
	require.Len(t, clip(long), 1<<10)
	require.Len(t, clip("x"+long), 1<<10-1)
	require.NotSame(t, unsafe.StringData(long), unsafe.StringData(clip(long)))
	require.Equal(t, "short", clip("short"))
}

// A request counts as many if it is long, or asks for everything.
func TestWeighsRequests(t *testing.T) {
	f := func(want time.Duration, times int, words []string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			w := newWire(t, Options{})
			w.delta, w.hold = true, true
			var all strings.Builder
			for i := range 6_400 {
				fmt.Fprintf(&all, " %d=1", i)
			}
			w.set("eds" + all.String())
			start := time.Now()
			for range times {
				w.stream("eds").ask(words)
			}
			w.stream("eds").ask([]string{"lds", "+last"})
			for !strings.Contains(w.heard(), "-last") {
				time.Sleep(10 * time.Millisecond)
			}
			require.InDelta(t, want.Seconds(), time.Since(start).Seconds(), .3)
		})
	}
	f(0, 40, []string{"eds", "+*"}) // 101 each of 5000
	f(time.Second, 59, []string{"eds", "+*"})
	f(time.Second, 23, []string{"eds", "+" + strings.Repeat("x", 1<<20)}) // 257 each
}

func many(prefix string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " %s%d", prefix, i)
	}
	return b.String()
}

// A flood of requests is read as fast as the limit allows, and everything is answered in the end.
func TestSlowsAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := metric.NewManualReader()
		w := newWire(t, Options{Meter: metric.NewMeterProvider(metric.WithReader(reader))})
		w.delta, w.hold = true, true
		start := time.Now()
		for range requestsAtOnce + 2*requestRate {
			w.stream("eds").ask([]string{"eds", "+a"})
		}
		w.stream("eds").ask([]string{"eds", "+last"})
		for !strings.Contains(w.heard(), "-last") {
			time.Sleep(10 * time.Millisecond)
		}
		require.InDelta(t, 2, time.Since(start).Seconds(), .2)
		require.InDelta(t, 2*requestRate, figures(t, reader)["requests_throttled_total{}"], 50)
	})
}

func TestLogsARefusalOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		var told []NACK
		w := newWire(t, Options{Logger: zap.New(core), NACK: func(n NACK) { told = append(told, n) }})
		w.play("hold\nset cds a=1\nask cds\nwant cds a=1\nnack cds\nnack cds\nwant")
		require.Len(t, told, 2)
		require.Equal(t, NACK{Node: "client", TypeURL: ClusterType, Version: w.cache.version(ClusterType), Why: "refused"}, told[0])
		require.Equal(t, 1, logs.Len())
		w.play("set cds a=2\nwant cds a=2\nnack cds\nwant")
		require.Equal(t, 2, logs.Len())
	})
}

// A client that does not read holds nobody else, and gets the last state when it reads again.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, Options{})
		w.delta = true
		slow := &client{wire: w, s: w.open("discovery.v3.Aggregated", "AggregatedResources"), first: true, names: map[string][]string{}, nonce: map[string]string{}}
		slow.ask([]string{"odd", "+*"})
		w.play("ask odd +*\nwant odd")
		big := strings.Repeat("x", 1<<16)
		for i := range 50 {
			w.play(fmt.Sprintf("set odd a=%d%s", i, big))
			synctest.Wait()
			require.Contains(t, w.heard(), fmt.Sprintf("odd a=%dx", i))
		}
		heard := 0
		for {
			line, _, _, err := slow.next()
			require.NoError(t, err)
			if heard++; strings.HasPrefix(line, "odd a=49x") {
				break
			}
		}
		require.Less(t, heard, 20, "it heard what was no longer so")
	})
}

// Close ends the streams.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, Options{})
		w.play("ask cds\nwant cds")
		w.server.Close()
		w.play("want error Unavailable")
		require.Empty(t, w.cache.streams)
	})
}

// What is gone is forgotten when every stream knows.
func TestForgetsWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, Options{})
		w.delta = true
		w.play("ask eds +*\nwant eds")
		for i := range 3 * tombstones {
			w.set(fmt.Sprintf("eds a%d=1", i))
			synctest.Wait()
			w.set(fmt.Sprintf("eds a%d=-", i))
			synctest.Wait()
		}
		require.Less(t, len(w.cache.types[AssignmentType].entries), tombstones+10)
	})
}
