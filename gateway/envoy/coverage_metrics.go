package envoy

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// nodeMetric is a metric with a value for each node.
type nodeMetric uint8

const (
	metricReceived nodeMetric = iota
	metricWritten
	metricRatio
	metricLost
)

func (m nodeMetric) String() string {
	return [...]string{
		"lockkeeper_als_received_total", "lockkeeper_als_written_total", "lockkeeper_als_coverage_ratio", "lockkeeper_telemetry_lost",
	}[m]
}

func (m nodeMetric) counter() bool { return m == metricReceived || m == metricWritten }

// nodeSeries is the identity of a series of such a metric.
type nodeSeries struct {
	metric          nodeMetric
	node, idc, what string
}

// nodePoint is a sample of one.
type nodePoint struct {
	nodeSeries
	value float64
	stale bool      // it ends here
	zero  time.Time // when it was zero; the zero time: nobody knows
}

// nodeReports remembers what was reported of the nodes: what changed is due at once, the rest once a minute.
type nodeReports struct {
	reported map[nodeSeries]report
	last     time.Time // when all was handed on last
}

type report struct {
	value float64
	at    time.Time
}

func newNodeReports(now time.Time) *nodeReports {
	return &nodeReports{reported: map[nodeSeries]report{}, last: now}
}

// points are what is to be said of the nodes.
func points(all map[string]*health) map[nodeSeries]float64 {
	values := make(map[nodeSeries]float64, 6*len(all))
	set := func(of bool, h *health, m nodeMetric, what string, value float64) {
		if of {
			values[nodeSeries{m, h.Node, h.IDC, what}] = value
		}
	}
	bit := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	for _, h := range all {
		set(h.hasALS || h.hasWritten, h, metricReceived, "", float64(h.received))
		set(h.hasWritten, h, metricWritten, "", float64(h.written))
		if h.present {
			set(h.Known, h, metricRatio, "", h.Ratio)
			set(h.alsKnown, h, metricLost, "als", bit(h.alsLost))
			set(h.hasStats, h, metricLost, "stats", bit(h.statsLost))
			set(h.Known, h, metricLost, "coverage", bit(h.thin))
		}
	}
	return values
}

// due returns, in order, the points that differ from what was reported, and those whose minute is over.
func (r *nodeReports) due(values map[nodeSeries]float64, now time.Time) []nodePoint {
	var due []nodePoint
	for s, value := range values {
		before, ok := r.reported[s]
		if ok && before.value == value && now.Sub(before.at) < time.Minute {
			continue
		}
		p := nodePoint{nodeSeries: s, value: value}
		if !ok && s.metric == metricReceived { // the other counter is Envoy's own: it began before us
			p.zero = r.last
		}
		due = append(due, p)
	}
	for s := range r.reported {
		if _, ok := values[s]; !ok {
			due = append(due, nodePoint{nodeSeries: s, stale: true})
		}
	}
	slices.SortFunc(due, func(x, y nodePoint) int {
		if x.metric != y.metric {
			return int(x.metric) - int(y.metric)
		}
		return strings.Compare(x.node+"\x00"+x.what, y.node+"\x00"+y.what)
	})
	return due
}

// done notes what was handed on.
func (r *nodeReports) done(points []nodePoint, now time.Time) {
	for _, p := range points {
		if p.stale {
			delete(r.reported, p.nodeSeries)
		} else {
			r.reported[p.nodeSeries] = report{p.value, now}
		}
	}
}

// export hands on what is due, in requests of bounded size. What is refused comes again.
func (r *nodeReports) export(values map[nodeSeries]float64, now time.Time, gateway string, export func(pmetric.Metrics) error) error {
	for due := r.due(values, now); len(due) > 0; {
		n, bytes := 0, 0
		for n < len(due) {
			if bytes += 2 * (128 + len(due[n].node) + len(due[n].idc) + len(gateway)); n > 0 && bytes > requestBytes {
				break
			}
			n++
		}
		if err := export(nodeMetrics(due[:n], now, gateway)); err != nil {
			return err
		}
		r.done(due[:n], now)
		due = due[n:]
	}
	r.last = now
	return nil
}

// nodeMetrics writes points, which are in order.
func nodeMetrics(all []nodePoint, now time.Time, gateway string) pmetric.Metrics {
	metrics := pmetric.NewMetrics()
	scope := metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	scope.Scope().SetName("github.com/lockkeeper/lockkeeper/gateway/envoy")
	var points pmetric.NumberDataPointSlice
	for i, p := range all {
		if i == 0 || p.metric != all[i-1].metric {
			points = p.metric.family(scope.Metrics().AppendEmpty())
		}
		add := func(at time.Time) pmetric.NumberDataPoint {
			to := points.AppendEmpty()
			to.SetTimestamp(pcommon.NewTimestampFromTime(at))
			for _, l := range [...][2]string{{"node", p.node}, {"idc", p.idc}, {"what", p.what}, {"gateway", gateway}} {
				if l[1] != "" {
					to.Attributes().PutStr(l[0], l[1])
				}
			}
			return to
		}
		if !p.zero.IsZero() {
			add(p.zero).SetIntValue(0)
		}
		switch to := add(now); {
		case p.stale:
			to.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		case p.metric.counter():
			to.SetIntValue(int64(p.value))
		default:
			to.SetDoubleValue(p.value)
		}
	}
	return metrics
}

func (m nodeMetric) family(family pmetric.Metric) pmetric.NumberDataPointSlice {
	family.SetName(m.String())
	if !m.counter() {
		return family.SetEmptyGauge().DataPoints()
	}
	counter := family.SetEmptySum()
	counter.SetIsMonotonic(true)
	counter.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	return counter.DataPoints()
}

// flushNodes hands on how the telemetry of each node is.
func (r *envoyReceiver) flushNodes(ctx context.Context, now time.Time) error {
	if r.next == nil {
		return nil
	}
	return r.reports.export(points(r.health(now)), now, r.config.Gateway, func(metrics pmetric.Metrics) error { return r.consume(ctx, "nodes", metrics) })
}
