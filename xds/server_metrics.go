package xds

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

// The types as metrics name them. What clients make up is other.
const (
	kindCDS = iota
	kindEDS
	kindLDS
	kindRDS
	kindOther
	kinds
)

func kindNames() [kinds]string { return [kinds]string{"cds", "eds", "lds", "rds", "other"} }

func kind(typeURL string) int { return order(typeURL) }

// Why a stream is ended.
const (
	refusedMalformed = iota
	refusedNode
	refusedType
	refusedNames
	refusals
)

func refusalNames() [refusals]string {
	return [refusals]string{"malformed", "no_node", "type", "too_many_names"}
}

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

func label(key, value string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String(key, value)))
}

// observe registers the server's own metrics, which the README lists. They are read when asked for.
func (s *Server) observe(provider metric.MeterProvider) {
	meter := provider.Meter("github.com/lockkeeper/lockkeeper/xds")
	i := instruments{meter: meter}
	duration, err := meter.Float64Histogram("lockkeeper_xds_push_duration_seconds", metric.WithUnit("s"),
		metric.WithDescription("Time from a change to its being handed to a client's connection, by type."),
		metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10))
	i.errs = append(i.errs, err)
	pushes := i.counter("lockkeeper_xds_pushes_total", "Responses sent, by type.")
	nacks := i.counter("lockkeeper_xds_nacks_total", "Responses that a client refused, by type.")
	refused := i.counter("lockkeeper_xds_streams_refused_total", "Streams ended because of what they asked for, by reason.")
	stale := i.counter("lockkeeper_xds_stale_requests_total", "Requests that answer an older response than the last, and are ignored.")
	throttled := i.counter("lockkeeper_xds_requests_throttled_total", "Requests that were read later, because their stream sends too many.")
	streams := i.gauge("lockkeeper_xds_streams", "Open streams, by type (ads: all of them) and protocol.")
	subscriptions := i.gauge("lockkeeper_xds_subscriptions", "Names that streams subscribe to, * being one, by type.")
	resources := i.gauge("lockkeeper_xds_resources", "Resources served, by type.")
	if err := errors.Join(i.errs...); err != nil {
		s.logger.Error("There will be no metrics of xDS", zap.Error(err))
		return
	}
	s.duration = duration
	for k, name := range kindNames() {
		s.byType[k] = label("type", name)
	}
	s.metrics, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		asked, kept := s.subscribed(func(typeName, protocol string, n int64) {
			o.ObserveInt64(streams, n, metric.WithAttributes(attribute.String("type", typeName), attribute.String("protocol", protocol)))
		})
		for k, name := range kindNames() {
			o.ObserveInt64(pushes, s.pushes[k].Load(), label("type", name))
			o.ObserveInt64(nacks, s.nacks[k].Load(), label("type", name))
			o.ObserveInt64(subscriptions, asked[k], label("type", name))
			o.ObserveInt64(resources, kept[k], label("type", name))
		}
		for r, name := range refusalNames() {
			o.ObserveInt64(refused, s.refused[r].Load(), label("reason", name))
		}
		o.ObserveInt64(stale, s.stale.Load())
		o.ObserveInt64(throttled, s.throttled.Load())
		return nil
	}, i.all...)
	if err != nil {
		s.logger.Error("There will be no metrics of xDS", zap.Error(err))
	}
}

// subscribed counts names and resources by kind, and tells the open streams by service and protocol.
func (s *Server) subscribed(tell func(typeName, protocol string, n int64)) (asked, kept [kinds]int64) {
	c := s.cache
	c.mu.RLock()
	streams := make([]*stream, 0, len(c.streams))
	for st := range c.streams {
		streams = append(streams, st)
	}
	for typeURL, t := range c.types {
		kept[kind(typeURL)] += int64(len(t.entries) - t.gone)
	}
	c.mu.RUnlock()
	type service struct{ typeName, protocol string }
	open := map[service]int64{{"ads", "delta"}: 0, {"ads", "sotw"}: 0}
	for _, st := range streams {
		is := service{"ads", "sotw"}
		if st.only != "" {
			is.typeName = kindNames()[kind(st.only)]
		}
		if st.delta {
			is.protocol = "delta"
		}
		open[is]++
		st.mu.Lock()
		for _, sub := range st.subscriptions {
			asked[kind(sub.typeURL)] += int64(len(sub.names))
			if sub.wildcard {
				asked[kind(sub.typeURL)]++
			}
		}
		st.mu.Unlock()
	}
	for is, n := range open {
		tell(is.typeName, is.protocol, n)
	}
	return asked, kept
}
