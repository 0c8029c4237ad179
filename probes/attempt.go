package probes

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// attempt collects what is learnt on the way of one probe. What is still under way when the probe ends may go on calling it.
type attempt struct {
	mu     sync.Mutex
	began  time.Time
	phase  string // the current one; empty: none
	since  time.Time
	phases []Phase
	values []Value
	ip     netip.Addr // that was connected to last
	tls    *tls.ConnectionState
	err    error // why there is no connection, where a library hides it
}

func newAttempt() *attempt { return &attempt{began: time.Now()} }

// enter ends the current phase and begins another, which may have been there before: then its time adds up.
func (a *attempt) enter(phase string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leave()
	a.phase, a.since = phase, time.Now()
}

func (a *attempt) leave() {
	if a.phase == "" {
		return
	}
	took := time.Since(a.since)
	for i := range a.phases {
		if a.phases[i].Name == a.phase {
			a.phases[i].Took += took
			a.phase = ""
			return
		}
	}
	a.phases = append(a.phases, Phase{a.phase, took})
	a.phase = ""
}

func (a *attempt) connecting(ip netip.Addr) {
	a.enter("connect")
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ip = ip
}

func (a *attempt) secured(state *tls.ConnectionState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tls = state
}

// hide keeps an error that a library would only tell in words of its own.
func (a *attempt) hide(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

func (a *attempt) hidden() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

func (a *attempt) add(name string, number float64) { a.addValue(Value{Name: name, Number: number}) }

func (a *attempt) addValue(v Value) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.values = append(a.values, v)
}

func (a *attempt) addBool(name string, is bool) {
	number := 0.0
	if is {
		number = 1
	}
	a.add(name, number)
}

// end makes the result of a probe whose reason is empty if it is good.
func (a *attempt) end(reason string) Result {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leave()
	values := a.values[:len(a.values):len(a.values)]
	for _, p := range a.phases {
		if p.Name == "resolve" {
			values = append(values, Value{Name: "probe_dns_lookup_time_seconds", Number: p.Took.Seconds()})
		}
	}
	switch {
	case a.ip.Is4():
		values = append(values, Value{Name: "probe_ip_protocol", Number: 4})
	case a.ip.IsValid():
		values = append(values, Value{Name: "probe_ip_protocol", Number: 6})
	}
	values = append(values, certificates(a.tls)...)
	return Result{OK: reason == "", Reason: reason, Took: time.Since(a.began), Phases: slices.Clone(a.phases), Values: values}
}

// fail makes the result of a probe that ended with an error: that of the other side, or one of this machine.
func (a *attempt) fail(ctx context.Context, err error) Result {
	a.mu.Lock()
	phase, ip := a.phase, a.ip
	a.mu.Unlock()
	if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		reason := fmt.Sprintf("no answer after %v", time.Since(a.began).Round(time.Millisecond))
		if phase != "" {
			reason += " (" + phase + ")"
		}
		return a.end(reason)
	}
	r := a.end(inWords(err))
	if ours(err, ip) {
		r.Err = err
	}
	return r
}

// mostWords bounds what the other side may say in a reason.
const mostWords = 300

// inWords leaves out of an error what the target says already: who connected to whom.
func inWords(err error) string {
	var lookup *net.DNSError
	if errors.As(err, &lookup) {
		return lookup.Err + ": " + lookup.Name
	}
	var number syscall.Errno
	if errors.As(err, &number) {
		return number.Error()
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	text := strings.ToValidUTF8(err.Error(), "?")
	return text[:min(len(text), mostWords)]
}

// ours tells whether an error is of this machine, and says nothing of the other side.
func ours(err error, ip netip.Addr) bool {
	var lookup *net.DNSError
	if errors.As(err, &lookup) {
		return !lookup.IsNotFound
	}
	for _, number := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EPERM, syscall.EACCES,
		syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, syscall.EAFNOSUPPORT,
	} {
		if errors.Is(err, number) {
			return true
		}
	}
	if errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) {
		return !routed(ip)
	}
	return false
}

// routed tells whether this machine has a route to ip: then it was a router on the way that said "unreachable". It sends nothing.
func routed(ip netip.Addr) bool {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 9)))
	if err != nil {
		return false
	}
	_ = conn.Close() // nothing was sent
	return true
}
