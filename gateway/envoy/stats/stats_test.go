package stats

import (
	"errors"
	"fmt"
	"testing"
	"time"

	client "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCumulativeCounters(t *testing.T) {
	inBubble(t, Options{}, func(s *source) {
		s.open()
		s.send(counter("a", 100), counter("b", 7))
		require.Equal(t, []string{"a 100 ?", "b 7 ?"}, s.flush(), "nobody knows since when: no zero")
		s.send(counter("a", 130), counter("b", 7), counter("new", 3))
		require.Equal(t, []string{"a 130 ?", "new 0 0s", "new 3 5s"}, s.flush(), "what is new was zero at the round before")
		s.reopen()
		s.send(counter("a", 140), counter("b", 9), counter("late", 2))
		require.Equal(t, []string{"a 140 ?", "b 9 ?", "late 0 0s", "late 2 5s"}, s.flush(), "a new stream goes on")
		s.reopen()
		s.send(counter("a", 4), counter("b", 9))
		require.Equal(t, []string{"a 4 5s"}, s.flush(), "Envoy was restarted: it counts anew")
		require.NotEqual(t, "deltas", s.sink.Nodes(time.Now())[0].Mode)
	})
}

// An Envoy that has just begun has told nobody of what it counted: all of that is new.
func TestYoungEnvoy(t *testing.T) {
	inBubble(t, Options{}, func(s *source) {
		s.open()
		s.send(counter("a", 100), gauge("server.uptime", 5))
		require.Equal(t, []string{"a 0 0s", "a 100 5s", "server_uptime 5 ?"}, s.flush())
	})
}

func TestDeltasAreAddedUp(t *testing.T) {
	inBubble(t, Options{}, func(s *source) {
		s.open()
		s.send(counter("once", 10), counter("a", 5), counter("z", 0))
		require.Equal(t, []string{"a 5 ?", "once 10 ?", "z 0 ?"}, s.flush())
		s.send(counter("once", 0), counter("a", 5), counter("z", 0))
		require.Equal(t, []string{"a 10 ?"}, s.flush(), "the fall shows that all of it are deltas")
		s.send(counter("once", 0), counter("a", 7), counter("z", 0), counter("new", 4))
		require.Equal(t, []string{"a 17 ?", "new 0 0s", "new 4 5s"}, s.flush())
		s.reopen()
		s.send(counter("once", 0), counter("a", 8), counter("z", 0))
		require.Equal(t, []string{"a 25 ?"}, s.flush(), "streams add up")
		require.Equal(t, "deltas", s.sink.Nodes(time.Now())[0].Mode)
	})
}

// Deltas whose first fall comes late must have lost nothing by then.
func TestDeltasThatAreFoundLate(t *testing.T) {
	inBubble(t, Options{}, func(s *source) {
		s.open()
		for i, v := range []float64{5, 6, 6} {
			s.send(counter("a", v), counter("b", 0))
			require.Equal(t, fmt.Sprintf("a %v ?", v), append(s.flush(), fmt.Sprintf("a %v ?", v))[0], i)
		}
		s.send(counter("a", 2), counter("b", 0))
		require.Equal(t, []string{"a 19 ?"}, s.flush())
	})
}

// Envoy drops the stats of a cluster that is removed and begins anew when it comes back.
func TestClusterThatComesBackIsNoDelta(t *testing.T) {
	inBubble(t, Options{}, func(s *source) {
		s.open()
		round := func(cluster float64) []*client.MetricFamily {
			all := []*client.MetricFamily{counter("cluster.c.rq", cluster)}
			for i := range 30 {
				all = append(all, counter(fmt.Sprintf("x%d", i), 10))
			}
			return all
		}
		for range 3 {
			s.send(round(50)...)
		}
		s.flush()
		s.send(round(2)...)
		require.Equal(t, []string{"cluster_rq 2 5s"}, s.flush())
		require.Equal(t, "cumulative", s.sink.Nodes(time.Now())[0].Mode)
	})
}

// A batch has no marker: rounds are told apart by the time of the stats.
func TestBatches(t *testing.T) {
	inBubble(t, Options{}, func(s *source) {
		s.open()
		for range 2 {
			s.send(counter("a", 1), counter("b", 1))
			s.more(counter("c", 1))
			s.more(gauge("d", 1))
		}
		require.Equal(t, []string{"a 1 ?", "b 1 ?", "c 1 ?", "d 1 ?"}, s.flush())
		status := s.sink.Nodes(time.Now())[0]
		require.Equal(t, 4, status.Families)
		require.Equal(t, 5*time.Second, status.Interval)
	})
}

// Envoy sends what its histograms saw since its last flush.
func TestHistogramsAreAddedUp(t *testing.T) {
	inBubble(t, Options{}, func(s *source) {
		s.open()
		s.send(summaryOf("h", 0.5, 3), histogram("h", 1, 2, 3, 30))
		require.Equal(t, []string{"h h[0 0 0] 0 0s", "h h[1 1 1] 30 5s"}, s.flush(), "the histogram stands for the summary")
		s.send(summaryOf("h", 0.5, 0), histogram("h", 0, 0, 0, 0))
		require.Empty(t, s.flush())
		s.send(summaryOf("h", 0.5, 1), histogram("h", 0, 1, 1, 5))
		require.Equal(t, []string{"h h[1 2 1] 35 15s"}, s.flush())
		require.EqualValues(t, 2, s.sink.Totals().Dropped["summary"])
	})
}

func TestSummaryAlone(t *testing.T) {
	inBubble(t, Options{}, func(s *source) {
		s.open()
		s.send(summaryOf("h", 0.5, 3))
		s.send(summaryOf("h", 0, 0))
		require.Equal(t, []string{"h s3 0.5 ?"}, s.flush())
		s.send(summaryOf("h", 0.25, 1))
		require.Equal(t, []string{"h s4 0.25 ?"}, s.flush())
	})
}

func TestUnchangedSeriesComeOnceAMinute(t *testing.T) {
	inBubble(t, Options{Refresh: time.Minute}, func(s *source) {
		s.open()
		came := map[string]int{}
		most := 0
		for range 36 { // three minutes
			var all []*client.MetricFamily
			for i := range 120 {
				all = append(all, gauge(fmt.Sprintf("g%d", i), 1))
			}
			s.send(all...)
			lines := s.flush()
			if len(came) > 0 {
				most = max(most, len(lines))
			}
			for _, l := range lines {
				came[l]++
			}
		}
		require.Len(t, came, 120)
		for l, n := range came {
			require.InDelta(t, 4, n, 1, l)
		}
		require.Equal(t, 10, most, "they are spread")
	})
}

func TestRefusedSeriesComeAgain(t *testing.T) {
	inBubble(t, Options{}, func(s *source) {
		s.open()
		s.send(counter("a", 1))
		s.flush()
		s.send(counter("a", 2), counter("b", 1))
		refused := errors.New("queue is full")
		require.ErrorIs(t, s.sink.Flush(time.Now(), "gw1", func(pmetric.Metrics) error { return refused }), refused)
		require.Equal(t, []string{"a 2 ?", "b 0 0s", "b 1 5s"}, s.flush())
		time.Sleep(time.Minute)
		require.ErrorIs(t, s.sink.Flush(time.Now(), "gw1", func(pmetric.Metrics) error { return refused }), refused)
		require.Equal(t, []string{"a gone ?", "b gone 1m5s"}, s.flush())
		require.Empty(t, s.flush())
	})
}
