package cluster

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// instruments are the extension's own metrics, which its README lists. They are read when asked for.
type instruments struct {
	meter metric.Meter
	all   []metric.Observable
	errs  []error
	read  []func(metric.Observer)
}

type observe func(n float64, attributes ...attribute.KeyValue)

func (i *instruments) counter(name, description string, values func(observe)) {
	c, err := i.meter.Float64ObservableCounter(name, metric.WithDescription(description))
	i.add(c, err, values)
}

func (i *instruments) gauge(name, description string, values func(observe)) {
	g, err := i.meter.Float64ObservableGauge(name, metric.WithDescription(description))
	i.add(g, err, values)
}

func (i *instruments) add(instrument metric.Float64Observable, err error, values func(observe)) {
	i.errs, i.all = append(i.errs, err), append(i.all, instrument)
	i.read = append(i.read, func(o metric.Observer) {
		values(func(n float64, attributes ...attribute.KeyValue) {
			o.ObserveFloat64(instrument, n, metric.WithAttributes(attributes...))
		})
	})
}

func (c *cluster) observe(provider metric.MeterProvider) (metric.Registration, error) {
	i := &instruments{meter: provider.Meter("github.com/lockkeeper/lockkeeper/gateway/cluster")}
	c.observeMembers(i)
	c.observeMessages(i)
	if err := errors.Join(i.errs...); err != nil {
		return nil, err
	}
	return i.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, read := range i.read {
			read(o)
		}
		return nil
	}, i.all...)
}

func (c *cluster) observeMembers(i *instruments) {
	i.gauge("lockkeeper_cluster_members", "Members, this one included, by site and state.", func(o observe) {
		counts := map[[2]string]int{}
		for _, m := range c.members.all() {
			counts[[2]string{m.Site, stateAlive}] += 0
			counts[[2]string{m.Site, stateLost}] += 0
			counts[[2]string{m.Site, stateLeft}] += 0
			counts[[2]string{m.Site, m.State}]++
		}
		for of, n := range counts {
			o(float64(n), attribute.String("site", of[0]), attribute.String("state", of[1]))
		}
	})
	i.gauge("lockkeeper_cluster_last_word_seconds", "Time since something of a member of another site came.", func(o observe) {
		last := map[string]time.Time{}
		for _, m := range c.members.all() {
			if m.Heard.After(last[m.Site]) && m.Site != c.cfg.Site {
				last[m.Site] = m.Heard
			}
		}
		for site, at := range last {
			o(c.now().Sub(at).Seconds(), attribute.String("site", site))
		}
	})
}

func (c *cluster) observeMessages(i *instruments) {
	i.counter("lockkeeper_cluster_messages_total", "Changes of states that were broadcast here, or came: new ones, and again.", func(o observe) {
		c.tally.mu.Lock()
		defer c.tally.mu.Unlock()
		for of, n := range c.tally.messages {
			o(float64(n), attribute.String("direction", of[0]), attribute.String("key", of[1]))
		}
	})
	i.counter("lockkeeper_cluster_bytes_total", "Bytes on the network, UDP and TCP.", func(o observe) {
		o(float64(c.transport.received.Load()), attribute.String("direction", received))
		o(float64(c.transport.sent.Load()), attribute.String("direction", sent))
	})
	i.counter("lockkeeper_cluster_refused_total", "What came and was refused, by reason.", func(o observe) {
		for reason, r := range c.tally.refusals() {
			o(float64(r.Count), attribute.String("reason", reason))
		}
	})
	i.counter("lockkeeper_cluster_dropped_total", "Messages that found a queue full, or a member out of reach.", func(o observe) {
		c.tally.mu.Lock()
		defer c.tally.mu.Unlock()
		for queue, n := range c.tally.dropped {
			o(float64(n), attribute.String("queue", queue))
		}
	})
	i.gauge("lockkeeper_cluster_queue", "Messages that wait to be sent.", func(o observe) {
		o(float64(c.exchange.gossip.NumQueued()), attribute.String("queue", queueGossip))
		o(float64(c.exchange.large.waiting()), attribute.String("queue", queueLarge))
	})
	i.gauge("lockkeeper_cluster_state_bytes", "Size of a whole state when it was told last.", func(o observe) {
		for key, n := range c.exchange.sizesNow() {
			o(float64(n), attribute.String("key", key))
		}
	})
}
