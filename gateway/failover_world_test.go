package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// site is a small HTTP server that dies and lives again at the same address.
type site struct {
	address string
	server  *http.Server
}

// openSite opens one at an address of 127.IDC.0.0/16 that is this process's own.
func openSite(t *testing.T, idc int) *site {
	t.Helper()
	pid := os.Getpid()
	s := &site{address: fmt.Sprintf("127.%d.%d.%d:0", idc, 64+pid>>8&127, pid&255)}
	s.live(t)
	t.Cleanup(s.die)
	return s
}

func (s *site) live(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	s.server = &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ReadHeaderTimeout: patience}
	go func() { _ = s.server.Serve(l) }()
}

// die refuses all connections from now on.
func (s *site) die() { _ = s.server.Close() }

func (s *site) ip() string {
	host, _, _ := net.SplitHostPort(s.address)
	return host
}

// watch asks for a name all the time, and remembers when which address was answered.
type watch struct {
	mu      sync.Mutex
	answers map[string][]time.Time // by address
	lost    int                    // queries without an answer
	gap     time.Duration          // the longest time between two answers
}

const watchTimeout = time.Second // of a query

// watch watches until the test's end.
func (g *failoverGateway) watch(t *testing.T) *watch {
	w := &watch{answers: map[string][]time.Time{}}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for before := time.Now(); ; {
			if ips := addressesOf(g.dns, liveName); len(ips) == 1 {
				now := time.Now()
				w.mu.Lock()
				w.answers[ips[0]], w.gap = append(w.answers[ips[0]], now), max(w.gap, now.Sub(before))
				w.mu.Unlock()
				before = now
			} else {
				w.mu.Lock()
				w.lost++
				w.mu.Unlock()
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
	return w
}

// addressesOf asks a server for the addresses of a name, by a socket of its own; nil: no answer.
func addressesOf(server, name string) (ips []string) {
	client := dns.Client{Timeout: watchTimeout}
	answer, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), server)
	if err != nil {
		return nil
	}
	for _, rr := range answer.Answer {
		if a, ok := rr.(*dns.A); ok {
			ips = append(ips, a.A.String())
		}
	}
	return ips
}

// serial is the SOA serial of the zone.
func (g *failoverGateway) serial(t *testing.T) uint32 {
	t.Helper()
	client := dns.Client{Net: "tcp", Timeout: patience}
	answer, _, err := client.Exchange(new(dns.Msg).SetQuestion("gslb.example.com.", dns.TypeSOA), g.dns)
	if err != nil || len(answer.Answer) != 1 {
		t.Fatalf("SOA: %v, %v", answer, err)
	}
	return answer.Answer[0].(*dns.SOA).Serial
}

// first is when a site was answered first since a time; zero: never.
func (w *watch) first(s *site, since time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.answers[s.ip()] {
		if at.After(since) {
			return at
		}
	}
	return time.Time{}
}

// last is when a site was answered last; zero: never.
func (w *watch) last(s *site) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if all := w.answers[s.ip()]; len(all) > 0 {
		return all[len(all)-1]
	}
	return time.Time{}
}

// answered waits until each of the sites is answered from now on.
func (w *watch) answered(t *testing.T, sites ...*site) {
	t.Helper()
	began := time.Now()
	for _, s := range sites {
		wait(t, s.ip()+" in an answer", func() bool { return !w.first(s, began).IsZero() })
	}
}

// gone waits until a site has not been answered for a while though queries are.
func (w *watch) gone(t *testing.T, s *site, since time.Time) {
	t.Helper()
	const quiet, enough = 500 * time.Millisecond, 20
	wait(t, s.ip()+" in no answer", func() bool {
		last := w.last(s)
		if last.Before(since) {
			last = since
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		after := 0
		for _, times := range w.answers {
			for _, at := range times {
				if at.After(last) {
					after++
				}
			}
		}
		return time.Since(last) > quiet && after >= enough
	})
}

// losses are how many queries got no answer so far, and the longest time without one.
func (w *watch) losses() (lost int, gap time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost, w.gap
}
