package dns

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
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

// counter adds a counter whose values, with their attributes, values observes.
func (i *instruments) counter(name, description string, values func(observe func(n int64, attributes ...attribute.KeyValue))) {
	c, err := i.meter.Int64ObservableCounter(name, metric.WithDescription(description))
	i.add(c, err, values)
}

func (i *instruments) gauge(name, description string, value func() int64) {
	g, err := i.meter.Int64ObservableGauge(name, metric.WithDescription(description))
	i.add(g, err, func(observe func(int64, ...attribute.KeyValue)) { observe(value()) })
}

func (i *instruments) add(instrument metric.Int64Observable, err error, values func(observe func(n int64, attributes ...attribute.KeyValue))) {
	i.errs, i.all = append(i.errs, err), append(i.all, instrument)
	i.read = append(i.read, func(o metric.Observer) {
		values(func(n int64, attributes ...attribute.KeyValue) {
			o.ObserveInt64(instrument, n, metric.WithAttributes(attributes...))
		})
	})
}

func (s *server) observe(provider metric.MeterProvider) (metric.Registration, error) {
	i := &instruments{meter: provider.Meter("github.com/lockkeeper/lockkeeper/gateway/dns")}
	s.observeQueries(i)
	s.observeSockets(i)
	s.observeTable(i)
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

// tallies are what is counted, by transport.
func (s *server) tallies() map[string][]*tally {
	all := map[string][]*tally{}
	for _, workers := range s.answering {
		last := len(workers) - 1
		for _, w := range workers[:last] {
			all["udp"] = append(all["udp"], w.tally)
		}
		all["tcp"] = append(all["tcp"], workers[last].tally)
	}
	return all
}

func (s *server) observeQueries(i *instruments) {
	i.counter("lockkeeper_dns_queries_total", "Queries that were answered, by type, rcode and transport.", func(observe func(int64, ...attribute.KeyValue)) {
		for transport, tallies := range s.tallies() {
			for asked, name := range typeNames() {
				for rcode := range rcodes {
					n := total(tallies, func(t *tally) *atomic.Uint64 { return &t.queries[asked][rcode] })
					if n > 0 || asked == typeA && rcode == dns.RcodeSuccess {
						observe(n, attribute.String("transport", transport), attribute.String("type", name), attribute.String("rcode", rcodeName(rcode)))
					}
				}
			}
		}
	})
	i.counter("lockkeeper_dns_answers_total", "Answers with addresses, by name, type and IDC.", func(observe func(int64, ...attribute.KeyValue)) {
		t := s.table.Load()
		if t == nil {
			return
		}
		for c := range t.counts() {
			observe(int64(c.answers), attribute.String("name", strings.TrimSuffix(c.name, ".")), attribute.String("type", c.kind), attribute.String("idc", c.idc))
		}
	})
	each := func(name, description, label string, values []string, of func(*tally, int) *atomic.Uint64) {
		i.counter(name, description, func(observe func(int64, ...attribute.KeyValue)) {
			for transport, tallies := range s.tallies() {
				for value, text := range values {
					observe(total(tallies, func(t *tally) *atomic.Uint64 { return of(t, value) }), attribute.String("transport", transport), attribute.String(label, text))
				}
			}
		})
	}
	each("lockkeeper_dns_dropped_total", "What got no answer, by reason.", "reason", dropNames(), func(t *tally, why int) *atomic.Uint64 { return &t.dropped[why] })
	i.counter("lockkeeper_dns_limited_total", "UDP answers over the rate limit, by what became of them.", func(observe func(int64, ...attribute.KeyValue)) {
		for became, text := range limitNames() {
			observe(total(s.tallies()["udp"], func(t *tally) *atomic.Uint64 { return &t.limited[became] }), attribute.String("became", text))
		}
	})
	i.counter("lockkeeper_dns_panics_total", "Queries that panicked. They got no answer.", func(observe func(int64, ...attribute.KeyValue)) {
		for transport, tallies := range s.tallies() {
			observe(total(tallies, func(t *tally) *atomic.Uint64 { return &t.panicked }), attribute.String("transport", transport))
		}
	})
}

func rcodeName(rcode int) string {
	if rcode == dns.RcodeBadVers {
		return "BADVERS"
	}
	return dns.RcodeToString[rcode]
}

func (s *server) observeSockets(i *instruments) {
	i.counter("lockkeeper_dns_receive_overflow_total", "Packets that found the receive buffer full.", func(observe func(int64, ...attribute.KeyValue)) {
		n := uint64(0)
		for _, p := range s.bound {
			for _, socket := range p.sockets {
				n += socket.overflow()
			}
		}
		observe(int64(n))
	})
	i.gauge("lockkeeper_dns_receive_buffer_bytes", "The smallest receive buffer of a UDP socket.", func() int64 { return int64(s.buffer()) })
	i.gauge("lockkeeper_dns_tcp_connections", "Open TCP connections.", func() int64 {
		n := 0
		for _, p := range s.bound {
			n += p.tcp.open()
		}
		return int64(n)
	})
	i.counter("lockkeeper_dns_tcp_closed_total", "TCP connections that ended, by reason.", func(observe func(int64, ...attribute.KeyValue)) {
		for why, text := range endNames() {
			observe(total(s.tallies()["tcp"], func(t *tally) *atomic.Uint64 { return &t.ended[why] }), attribute.String("reason", text))
		}
	})
}

func (s *server) observeTable(i *instruments) {
	i.counter("lockkeeper_dns_swaps_total", "Tables that took the place of another.", func(observe func(int64, ...attribute.KeyValue)) { observe(s.status().swaps) })
	i.counter("lockkeeper_dns_swap_failures_total", "What was to be served and became no table: the last one stays.", func(observe func(int64, ...attribute.KeyValue)) {
		observe(s.status().failures)
	})
	i.gauge("lockkeeper_dns_table_age_seconds", "Time since the table at work was made.", func() int64 { return int64(time.Since(s.status().made).Seconds()) })
	i.gauge("lockkeeper_dns_serial", "The SOA serial that is answered; 0: nothing is answered yet.", func() int64 {
		if t := s.table.Load(); t != nil {
			return int64(t.serial)
		}
		return 0
	})
	i.gauge("lockkeeper_dns_unknown_idcs", "IDCs with addresses in the zones of which nothing is known: they are not answered.", func() int64 {
		if t := s.table.Load(); t != nil {
			return int64(len(t.unknown))
		}
		return 0
	})
	i.gauge("lockkeeper_dns_weightless_names", "Names that are answered from all their IDCs since none has a weight, by type.", func() int64 {
		if t := s.table.Load(); t != nil {
			return int64(len(t.weightless))
		}
		return 0
	})
}
