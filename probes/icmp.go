package probes

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// ICMPModule has the settings of kind icmp.
type ICMPModule struct {
	// PayloadSize is how many bytes of data a request has.
	PayloadSize int `mapstructure:"payload_size"`
}

func defaultICMP() ICMPModule { return ICMPModule{PayloadSize: 56} }

// Validate implements xconfmap.Validator.
func (m ICMPModule) Validate() error {
	if m.PayloadSize < echoData || m.PayloadSize > maxEchoData {
		return fmt.Errorf("payload_size: %d: use %d to %d", m.PayloadSize, echoData, maxEchoData)
	}
	return nil
}

// checkICMP wants an address: a name that is not resolved says nothing of a machine, and one that is says nothing of the others of its name.
func checkICMP(target *Target) error {
	ip := pingAddress(target)
	switch {
	case !ip.IsValid() && target.Address != "":
		return fmt.Errorf("address: %q: a ping goes to an IP address, without a port", target.Address)
	case !ip.IsValid():
		return fmt.Errorf("%q is no IP address: a ping resolves no names, so put the address to ping under address", target.Target)
	case ip.IsUnspecified() || ip.IsMulticast():
		return fmt.Errorf("%v is not the address of one machine", ip)
	}
	return nil
}

// pingAddress is where a target's pings go; invalid where it has no such address.
func pingAddress(t *Target) netip.Addr {
	text := t.Address
	if text == "" {
		text = t.Target
	}
	ip, _ := netip.ParseAddr(text)
	return ip.Unmap()
}

// pinger is the driver of all targets of kind icmp. There is one socket for each address family, whatever the number of targets.
type pinger struct {
	families [2]*pings // IPv4, IPv6
}

// newPinger opens the sockets. Modules are those of kind icmp by their names. Report gets what has come at once, and keeps none of it; it
// may be called concurrently. One address family may be missing: the probes of its targets are then told of as such that could not be made.
func newPinger(modules map[string]*Module, report func([]outcome)) (*pinger, error) {
	p := &pinger{}
	var failures []error
	for i := range p.families {
		socket, roomy, err := openEcho(i == 1)
		if err != nil {
			failures = append(failures, err)
			socket = noSocket{err}
		}
		p.families[i] = newPings(socket, modules, report)
		if !roomy {
			p.families[i].tick = crampedTick
		}
	}
	if len(failures) == len(p.families) {
		return nil, failures[0]
	}
	return p, nil
}

// noSocket stands for one that could not be opened.
type noSocket struct{ err error }

func (s noSocket) send(requests []echoRequest, failed func(echoRequest, error)) {
	for _, r := range requests {
		failed(r, s.err)
	}
}

func (noSocket) receive(func(echoReply)) uint32 { return 0 }

func (noSocket) Close() error { return nil }

// set implements driver.
func (p *pinger) set(targets []*Target) {
	var of [2][]*Target
	for _, t := range targets {
		if ip := pingAddress(t); ip.Is4() {
			of[0] = append(of[0], t)
		} else if ip.Is6() {
			of[1] = append(of[1], t)
		}
	}
	for i, family := range p.families {
		family.set(of[i])
	}
}

// run implements driver.
func (p *pinger) run(ctx context.Context) {
	var all sync.WaitGroup
	for _, family := range p.families {
		all.Go(func() {
			family.run(ctx)
			_ = family.socket.Close()
		})
	}
	all.Wait()
}

// ignored are the replies that told nothing: late are those to requests already given up, and doubles; foreign those to nothing that was
// sent; lost those that the kernel had no room for.
func (p *pinger) ignored() (late, foreign, lost int64) {
	for _, family := range p.families {
		late, foreign, lost = late+family.late.Load(), foreign+family.foreign.Load(), lost+family.lost.Load()
	}
	return late, foreign, lost
}

// observe registers the metric of what is ignored.
func (p *pinger) observe(meter metric.Meter) error {
	_, err := meter.Int64ObservableCounter("lockkeeper_probe_icmp_ignored_total",
		metric.WithDescription("Replies to pings that told nothing, by reason: late, foreign, lost."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			late, foreign, lost := p.ignored()
			o.Observe(late, metric.WithAttributes(attribute.String("reason", "late")))
			o.Observe(foreign, metric.WithAttributes(attribute.String("reason", "foreign")))
			o.Observe(lost, metric.WithAttributes(attribute.String("reason", "lost")))
			return nil
		}))
	return err
}

// openICMP returns a prober for a single ping. The pings of a running gateway are the pinger's.
func openICMP(module *Module, _ surroundings) (prober, error) {
	return func(ctx context.Context, target *Target) Result {
		socket, _, err := openEcho(pingAddress(target).Is6())
		if err != nil {
			return Result{Err: err}
		}
		defer socket.Close()
		ctx, done := context.WithCancel(ctx)
		defer done()
		result := Result{Reason: noReply(module.Timeout), Took: module.Timeout}
		p := newPings(socket, map[string]*Module{target.Module: module}, func(outcomes []outcome) {
			if ctx.Err() == nil {
				result = outcomes[0].Result
				done()
			}
		})
		once := *target
		once.Interval = time.Hour
		p.add(&once, 0)
		p.want(&p.targets[0], 0, false)
		p.turn()
		p.run(ctx)
		return result
	}, nil
}
