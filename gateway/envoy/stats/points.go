package stats

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// batch is one request being made.
type batch struct {
	metrics  pmetric.Metrics
	families pmetric.MetricSlice
	byName   map[familyKey]pmetric.Metric
	gateway  string
	now      time.Time
	weight   int // estimated bytes
	written  []written
}

type familyKey struct {
	name string
	kind int32
}

// written is a series in the batch, with the flags that it had before.
type written struct {
	node  *node
	at    int
	flags flags
}

func newBatch(now time.Time, gateway string) *batch {
	b := &batch{metrics: pmetric.NewMetrics(), byName: map[familyKey]pmetric.Metric{}, gateway: gateway, now: now}
	scope := b.metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	scope.Scope().SetName("github.com/lockkeeper/lockkeeper/gateway/envoy/stats")
	b.families = scope.Metrics()
	return b
}

// takeBack lets the series of a refused batch come again.
func (b *batch) takeBack() {
	for _, w := range b.written {
		w.node.mu.Lock()
		f := &w.node.series[w.at].flags
		*f |= w.flags & (changed | fresh)
		if w.flags&stale == 0 && w.flags&changed == 0 {
			*f &^= stale
		}
		w.node.mu.Unlock()
	}
}

// value writes a series' value, and before it the zero with which it began.
func (b *batch) value(n *node, at int) {
	s := &n.series[at]
	if s.kind == typeSummary && n.hasHistogram(s) {
		s.flags &^= changed
		return
	}
	b.written = append(b.written, written{n, at, s.flags})
	if s.flags&fresh != 0 {
		b.point(n, s, time.Unix(0, s.start), zero)
	}
	b.point(n, s, n.last, recorded)
	s.flags = s.flags&^(changed|fresh) | known
}

// gone writes that a series has no value from now on.
func (b *batch) gone(n *node, at int) {
	s := &n.series[at]
	b.written = append(b.written, written{n, at, s.flags})
	b.point(n, s, b.now, absent)
	s.flags |= stale
}

// what is what a point says.
type what uint8

const (
	recorded what = iota
	zero
	absent
)

func (b *batch) point(n *node, s *series, at time.Time, say what) {
	family := b.family(s.identity)
	start, stamp := pcommon.Timestamp(s.start), pcommon.NewTimestampFromTime(at)
	b.weight += s.weight + len(n.id) + len(n.app) + len(n.version) + len(n.idc) + len(b.gateway)
	switch s.kind {
	case typeHistogram:
		p := family.Histogram().DataPoints().AppendEmpty()
		b.labels(p.Attributes(), n, s)
		p.SetStartTimestamp(start)
		p.SetTimestamp(stamp)
		p.SetFlags(say.flags())
		b.weight += 16 * len(s.distribution.at)
		s.distribution.write(p, say)
	case typeSummary:
		p := family.Summary().DataPoints().AppendEmpty()
		b.labels(p.Attributes(), n, s)
		p.SetStartTimestamp(start)
		p.SetTimestamp(stamp)
		p.SetFlags(say.flags())
		b.weight += 24 * len(s.distribution.at)
		s.distribution.writeQuantiles(p, say)
	default:
		var p pmetric.NumberDataPoint
		if s.kind == typeCounter {
			p = family.Sum().DataPoints().AppendEmpty()
			p.SetStartTimestamp(start)
		} else {
			p = family.Gauge().DataPoints().AppendEmpty()
		}
		b.labels(p.Attributes(), n, s)
		p.SetTimestamp(stamp)
		p.SetFlags(say.flags())
		switch say {
		case recorded:
			p.SetDoubleValue(s.value)
		case zero:
			p.SetDoubleValue(0)
		}
	}
}

func (w what) flags() pmetric.DataPointFlags {
	return pmetric.DefaultDataPointFlags.WithNoRecordedValue(w == absent)
}

func (b *batch) family(i *identity) pmetric.Metric {
	key := familyKey{i.name, i.kind}
	if known, ok := b.byName[key]; ok {
		return known
	}
	m := b.families.AppendEmpty()
	m.SetName(i.name)
	switch i.kind {
	case typeCounter:
		sum := m.SetEmptySum()
		sum.SetIsMonotonic(true)
		sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	case typeHistogram:
		m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	case typeSummary:
		m.SetEmptySummary()
	default:
		m.SetEmptyGauge()
	}
	b.byName[key] = m
	b.weight += len(i.name) + 32
	return m
}

func (b *batch) labels(to pcommon.Map, n *node, s *series) {
	to.EnsureCapacity(len(s.labels) + 5)
	for _, l := range s.labels {
		to.PutStr(l.name, l.value)
	}
	to.PutStr("node", n.id)
	for _, l := range [...]label{{"app", n.app}, {"version", n.version}, {"idc", n.idc}, {"gateway", b.gateway}} {
		if l.value != "" {
			to.PutStr(l.name, l.value)
		}
	}
}

// hasHistogram tells whether the node sends the summary's stat as a histogram too.
func (n *node) hasHistogram(s *series) bool {
	at, ok := n.index[s.identity.histogram]
	return ok && n.series[at].flags&(stale|unread) == 0
}
