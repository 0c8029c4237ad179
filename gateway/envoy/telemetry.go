package envoy

import (
	"context"
	"errors"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// instruments collects what a callback observes.
type instruments struct {
	meter metric.Meter
	all   []metric.Observable
	errs  []error
}

func (i *instruments) counter(name, description string) metric.Int64ObservableCounter {
	c, err := i.meter.Int64ObservableCounter(name, metric.WithDescription(description))
	i.errs, i.all = append(i.errs, err), append(i.all, c)
	return c
}

func (i *instruments) gauge(name, description string) metric.Int64ObservableGauge {
	g, err := i.meter.Int64ObservableGauge(name, metric.WithDescription(description))
	i.errs, i.all = append(i.errs, err), append(i.all, g)
	return g
}

// observe registers the receiver's own metrics, which its README lists. They are read from the aggregator when asked for.
func (r *envoyReceiver) observe(meter metric.Meter) (metric.Registration, error) {
	i := instruments{meter: meter}
	entries := i.counter("lockkeeper_als_entries_total", "Final access-log entries that were counted, by node.")
	malformed := i.counter("lockkeeper_als_malformed_total", "Access-log entries that could not be read, by node.")
	skipped := i.counter("lockkeeper_als_skipped_total", "Access-log entries that are not counted, by node and reason.")
	refused := i.counter("lockkeeper_als_streams_refused_total", "Access-log streams ended because of what they sent.")
	streams := i.gauge("lockkeeper_als_streams", "Open access-log streams.")
	series := i.gauge("lockkeeper_series", "Label sets kept.")
	overflow := i.counter("lockkeeper_series_overflow_total", "Requests and connections counted as other, because series::max was reached.")
	endpoints := i.gauge("lockkeeper_endpoints", "Label sets of lockkeeper_endpoint_requests_total kept.")
	endpointOverflow := i.counter("lockkeeper_endpoint_overflow_total", "Tries counted as other, because series::max was reached.")
	flagOverflow := i.counter("lockkeeper_response_flags_overflow_total", "Response flags counted as those of other, because series::max was reached.")
	hopOverflow := i.counter("lockkeeper_edge_overflow_total", "What lockkeeper_edge_sent_total and lockkeeper_edge_received_total leave out, because series::max was reached.")
	untracked := i.counter("lockkeeper_tcp_untracked_total", "Entries of open TCP connections that are counted only at their end, because too many are open.")
	unknown := i.counter("lockkeeper_unknown_total", "Counted entries of which something could not be told, by what.")
	records := i.counter("lockkeeper_records_total", "Log records of access-log entries that were handed on.")
	dropped := i.counter("lockkeeper_records_dropped_total", "Access-log entries that should have become log records and did not, by reason.")
	uncompared := i.counter("lockkeeper_coverage_skipped_total", "Samples of Envoy's stats that coverage has no room for.")
	unkept := i.counter("lockkeeper_coverage_unkept_total", "Times that what coverage keeps could not be read or written.")
	ingressSkipped := i.counter("lockkeeper_ingress_skipped_total", "Streams of an ingress that are no evidence of what enters an IDC, by reason.")
	untrusted := i.counter("lockkeeper_endpoint_untrusted_total", "Streams that are no evidence of the endpoints that they tried, since they are not trusted.")
	untold := i.counter("lockkeeper_endpoint_untold_total", "Tries that are no evidence of their endpoints, since there are too many.")
	liveDropped := i.counter("lockkeeper_live_dropped_total", "What a client that tails or records was too slow for.")
	liveRefused := i.counter("lockkeeper_live_refused_total", "Clients that were refused because too many tail or record.")
	if err := errors.Join(i.errs...); err != nil {
		return nil, err
	}
	return meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		t := r.aggregator.Totals()
		for id, s := range t.Nodes {
			node := attribute.String("node", id)
			o.ObserveInt64(entries, int64(s.Counted), metric.WithAttributes(node))
			o.ObserveInt64(malformed, int64(s.Malformed), metric.WithAttributes(node))
			o.ObserveInt64(skipped, int64(s.Intermediate), metric.WithAttributes(node, attribute.String("reason", "intermediate")))
			o.ObserveInt64(skipped, int64(s.UDP), metric.WithAttributes(node, attribute.String("reason", "udp")))
		}
		for i, what := range mesh.UnknownNames() {
			o.ObserveInt64(unknown, int64(t.All.Unknown[i]), metric.WithAttributes(attribute.String("what", what)))
		}
		o.ObserveInt64(uncompared, r.coverage.refused())
		o.ObserveInt64(unkept, r.keeper.failed.Load())
		for _, l := range []*live{r.tails, r.recordings} {
			what := metric.WithAttributes(attribute.String("what", l.what))
			o.ObserveInt64(liveDropped, l.dropped.Load(), what)
			o.ObserveInt64(liveRefused, l.refused.Load(), what)
		}
		o.ObserveInt64(refused, r.refused.Load())
		o.ObserveInt64(streams, int64(t.Streams))
		o.ObserveInt64(series, int64(t.Series))
		o.ObserveInt64(overflow, int64(t.Overflow))
		o.ObserveInt64(endpoints, int64(t.Endpoints))
		o.ObserveInt64(endpointOverflow, int64(t.EndpointOverflow))
		o.ObserveInt64(flagOverflow, int64(t.FlagOverflow))
		o.ObserveInt64(hopOverflow, int64(t.HopOverflow))
		o.ObserveInt64(untracked, int64(t.Untracked))
		o.ObserveInt64(ingressSkipped, int64(t.IngressUntrusted), metric.WithAttributes(attribute.String("reason", "untrusted")))
		o.ObserveInt64(ingressSkipped, int64(t.IngressUnplaced), metric.WithAttributes(attribute.String("reason", "no_idc")))
		o.ObserveInt64(untrusted, int64(t.TriesUntrusted))
		o.ObserveInt64(untold, int64(t.TriesFull))
		o.ObserveInt64(records, r.recorder.records.Load())
		for reason, n := range map[string]*atomic.Int64{"full": &r.recorder.full, "refused": &r.recorder.refused, "malformed": &r.recorder.unreadable} {
			o.ObserveInt64(dropped, n.Load(), metric.WithAttributes(attribute.String("reason", reason)))
		}
		return nil
	}, i.all...)
}
