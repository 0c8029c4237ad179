package stats

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/proto"
)

func TestSilentSourceIsMarkedOnceAndComesBack(t *testing.T) {
	inBubble(t, Options{Refresh: time.Minute}, func(s *source) {
		s.open()
		s.send(counter("a", 1), gauge("g", 2), histogram("h", 1, 2, 3, 4))
		s.send(counter("a", 2), gauge("g", 2), histogram("h", 0, 0, 0, 0))
		s.flush()
		time.Sleep(15 * time.Second)
		require.Empty(t, s.flush(), "three intervals of its own")
		time.Sleep(time.Second)
		require.Equal(t, []string{"a gone ?", "g gone ?", "h gone 26s"}, s.flush())
		for range 20 {
			time.Sleep(10 * time.Second)
			require.Empty(t, s.flush(), "once, and nothing afterwards")
		}
		s.send(counter("a", 5), gauge("g", 2), histogram("h", 1, 1, 1, 1))
		require.Equal(t, []string{"a 5 ?", "g 2 ?", "h h[2 1 1] 5 3m51s"}, s.flush(), "they go on")
	})
}

func TestEndedStreamMayComeBackInTime(t *testing.T) {
	inBubble(t, Options{}, func(s *source) {
		s.open()
		s.send(gauge("g", 2))
		s.flush()
		s.stream.Close()
		time.Sleep(14 * time.Second)
		require.Empty(t, s.flush())
		s.open()
		s.more(gauge("g", 2))
		time.Sleep(14 * time.Second)
		require.Empty(t, s.flush())
		require.Equal(t, 1, s.sink.Nodes(time.Now())[0].Streams)
	})
}

// A source that sends every minute is not silent, not even after its first message or when it was quicker before.
func TestSlowSource(t *testing.T) {
	inBubble(t, Options{}, func(s *source) {
		s.open()
		for range 2 {
			s.send(gauge("g", 2))
			s.flush()
			for range 3 {
				time.Sleep(55 * time.Second)
				require.Empty(t, s.flush())
				s.send(gauge("g", 2))
			}
			time.Sleep(100 * time.Second)
			require.Empty(t, s.flush())
			time.Sleep(100 * time.Second)
			require.Equal(t, []string{"g gone ?"}, s.flush())
			s.reopen()
			for range 3 {
				s.send(gauge("g", 2))
			}
			s.flush()
			s.reopen()
		}
	})
}

// Envoy stops sending what belongs to a cluster that is gone.
func TestStatThatIsNoLongerSent(t *testing.T) {
	inBubble(t, Options{}, func(s *source) {
		s.open()
		s.send(gauge("g", 2), gauge("x", 1))
		s.flush()
		for range 3 {
			s.send(gauge("g", 2))
		}
		require.Empty(t, s.flush())
		s.send(gauge("g", 2))
		require.Equal(t, []string{"x gone ?"}, s.flush())
		s.send(gauge("g", 2))
		require.Empty(t, s.flush())
	})
}

func TestIdleSeriesAreForgotten(t *testing.T) {
	inBubble(t, Options{Idle: 2 * time.Minute}, func(s *source) {
		s.open()
		s.send(gauge("g", 2), gauge("x", 1))
		s.flush()
		for range 40 {
			s.send(gauge("g", 2))
			s.flush()
		}
		require.Equal(t, 1, s.sink.Totals().Series)
		require.Len(t, s.sink.shapes.byRaw, 1)
		require.Len(t, s.sink.shapes.identities, 1)
		s.send(gauge("g", 3), gauge("x", 1))
		require.Equal(t, []string{"g 3 ?", "x 1 ?"}, without(s.flush(), "0s"))
		s.stream.Close()
		for range 5 {
			time.Sleep(time.Minute)
			s.flush()
		}
		require.Zero(t, s.sink.Totals().Series)
		require.Empty(t, s.sink.Nodes(time.Now()))
		require.Empty(t, s.sink.shapes.byRaw)
	})
}

func without(lines []string, suffix string) (rest []string) {
	for _, l := range lines {
		if !strings.HasSuffix(l, " "+suffix) {
			rest = append(rest, l)
		}
	}
	return rest
}

func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New(Options{MaxNode: 3, MaxTotal: 5, Refresh: time.Hour}, time.Now())
		for _, id := range []string{"n1", "n2"} {
			s := newSource(t, k, id)
			s.open()
			s.send(gauge("a", 1), gauge("b", 1), gauge("c", 1), gauge("d", 1))
			s.more(gauge("a", 2))
		}
		totals := k.Totals()
		require.Equal(t, 5, totals.Series)
		require.EqualValues(t, 1+2, totals.Overflow)
		require.Equal(t, map[string]uint64{"n1": 2, "n2": 2}, totals.Messages)
		require.Equal(t, 2, totals.Streams)
	})
}

// Two streams of one node at a time are two Envoys of one name, or one end that has not noticed yet: the last one counts.
func TestStreamThatWasReplaced(t *testing.T) {
	inBubble(t, Options{}, func(s *source) {
		s.open()
		s.send(counter("a", 10))
		old := s.stream
		s.open()
		s.send(counter("a", 11))
		last := s.stream
		s.stream = old
		s.send(counter("a", 500), counter("b", 1))
		require.Equal(t, []string{"a 11 ?"}, s.flush())
		require.EqualValues(t, 2, s.sink.Totals().Dropped["replaced"])
		old.Close()
		s.stream = last
		s.send(counter("a", 12))
		require.Equal(t, []string{"a 12 ?"}, s.flush())
	})
}

func TestBadFamiliesHurtNobody(t *testing.T) {
	inBubble(t, Options{}, func(s *source) {
		s.open()
		nan := counter("nan", 0)
		nan.Metric[0].Counter.Value = proto.Float64(-1)
		unordered := histogram("unordered", 2, 1, 3, 1)
		beyond := histogram("beyond", 1, 4, 3, 1)
		valueless := counter("valueless", 1)
		valueless.Metric[0].Counter = nil
		nameless := counter("", 1)
		strange := gauge("strange", 1)
		strange.Type = client.MetricType_GAUGE_HISTOGRAM.Enum()
		s.send(nan, unordered, beyond, valueless, nameless, strange, gauge("good", 1))
		require.Equal(t, []string{"good 1 ?"}, s.flush())
		require.EqualValues(t, 5, s.sink.Totals().Malformed)
		require.EqualValues(t, 1, s.sink.Totals().Dropped["unsupported"])
		require.ErrorIs(t, s.stream.Add([]byte{0x0b}), ErrMalformed)
		require.NoError(t, s.stream.Add([]byte{0x12, 1, 0x0b}))
		require.EqualValues(t, 6, s.sink.Totals().Malformed)
	})
}

// Two stats that become one name cannot both be kept.
func TestNamesThatCollide(t *testing.T) {
	inBubble(t, Options{}, func(s *source) {
		s.open()
		for range 2 {
			s.send(counter("a.b", 1), counter("a-b", 7))
		}
		require.Equal(t, []string{"a_b 1 ?"}, s.flush())
		require.EqualValues(t, 2, s.sink.Totals().Dropped["duplicate"])
		require.Equal(t, "undecided", s.sink.Nodes(time.Now())[0].Mode)
	})
}

func TestIstiosOwnMetrics(t *testing.T) {
	for _, keep := range []bool{false, true} {
		inBubble(t, Options{Istio: keep}, func(s *source) {
			s.open()
			s.send(counter("istiocustom.istio_requests_total", 1), counter("istio_build", 1), counter("istiocustom.other", 1))
			want, dropped := []string{"other 1 ?"}, uint64(2)
			if keep {
				want, dropped = []string{"istio_build 1 ?", "istio_requests_total 1 ?", "other 1 ?"}, 0
			}
			require.Equal(t, want, s.flush())
			require.Equal(t, dropped, s.sink.Totals().Dropped["istio"])
			require.Equal(t, dropped, s.sink.Nodes(time.Now())[0].IstioDropped)
		})
	}
}

// What coverage needs is told even of stats that are not kept.
func TestSamples(t *testing.T) {
	var samples []Sample
	keep := func(name string) bool { return name == "cluster.rq" }
	inBubble(t, Options{Keep: keep, Sample: func(s Sample) { samples = append(samples, s) }}, func(s *source) {
		s.open()
		const written, flushed = "access_logs.grpc_access_log.logs_written", "access_logs.grpc_access_log.grpc_entries_flushed"
		s.send(counter(written, 10), counter("cluster.c.rq", 1))
		s.send(counter("cluster.c.rq", 1))
		s.send(counter(written, 20), counter(flushed, 25))
		at := time.Now()
		s.reopen()
		s.send(counter(written, 2), counter(flushed, 30))
		s.send(counter(written, 3), counter(flushed, 30))
		require.Len(t, samples, 4)
		require.Equal(t, Sample{Node: "n1", At: samples[0].At, Written: 10, HasWritten: true}, samples[0])
		require.Equal(t, Sample{Node: "n1", At: at, Written: 20, Flushed: 25, HasWritten: true, HasFlushed: true}, samples[1])
		require.True(t, samples[2].Restarted)
		require.False(t, samples[3].Restarted)
		require.Equal(t, []string{"cluster_rq 1 ?"}, s.flush())
		require.EqualValues(t, 0, s.sink.Totals().Dropped["excluded"])
	})
}

func TestRequestsStayBelowTheirBound(t *testing.T) {
	inBubble(t, Options{}, func(s *source) {
		s.open()
		var all []*client.MetricFamily
		for i := range 15_000 {
			all = append(all, counter(fmt.Sprintf("cluster.c%d.%s", i, strings.Repeat("x", 100)), 1))
		}
		for i := range 500 {
			all = append(all, histogram(fmt.Sprintf("h%d", i), 1, 2, 3, 4))
		}
		s.send(all...)
		points, requests := 0, 0
		require.NoError(t, s.sink.Flush(time.Now(), "gw1", func(m pmetric.Metrics) error {
			b, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(m)
			require.NoError(t, err)
			require.LessOrEqual(t, len(b), 2<<20)
			points += m.DataPointCount()
			requests++
			return nil
		}))
		require.Equal(t, 15_000+2*500, points)
		require.Greater(t, requests, 1)
		require.Less(t, requests, 8)
	})
}
