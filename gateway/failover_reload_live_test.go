package main

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A reload brings other weights and names, and leaves no query unanswered; a file with mistakes changes nothing.
func TestFailoverReload(t *testing.T) {
	g := newFailoverGateway(t)
	p := g.start(t)
	w := g.watch(t)
	w.answered(t, g.idcs[0], g.idcs[1])
	serial, good := g.serial(t), g.config()
	unanswered := g.insist(t)

	// Mistakes in each part.
	bad := good
	for was, is := range map[string]string{"idc1: {weight: 50}": "idc1: {weight: 51}", "ttl: 2s": "ttl: 2d", "interval: 250ms": "interval: 1ms"} {
		bad = strings.Replace(bad, was, is, 1)
	}
	rewrite(t, g.file, bad)
	before, _ := w.losses()
	p.signal(t, syscall.SIGHUP)
	p.expect(t, "reload: not valid, so nothing has changed")
	w.answered(t, g.idcs[0], g.idcs[1])
	if now, _ := w.losses(); now != before || g.serial(t) != serial {
		t.Errorf("a bad file lost %d queries; serial %d, then %d", now-before, serial, g.serial(t))
	}

	// Another weight and another name.
	rewrite(t, g.file, strings.NewReplacer("idc1: {weight: 50}, idc2: {weight: 50}", "idc1: {weight: 80}, idc2: {weight: 20}",
		"names: {api:", fmt.Sprintf("names: {www: {idcs: {idc2: [%s]}}, api:", g.idcs[1].ip())).Replace(good))
	began := time.Now()
	p.signal(t, syscall.SIGHUP)
	p.expect(t, "reloaded")
	t.Logf("reloaded in %s", time.Since(began))
	if ips := addressesOf(g.dns, "www.gslb.example.com."); len(ips) != 1 || ips[0] != g.idcs[1].ip() {
		t.Errorf("www is %q", ips)
	}
	w.answered(t, g.idcs[0], g.idcs[1])
	one := 0
	for range 200 {
		if ips := addressesOf(g.dns, liveName); len(ips) == 1 && ips[0] == g.idcs[0].ip() {
			one++
		}
	}
	if one < 140 || one > 180 { // 160, but the watch takes turns, too
		t.Errorf("of 200 answers %d are idc1, with a weight of 80 %%: %+v", one, g.state(t).Serving)
	}
	if now := g.serial(t); now <= serial {
		t.Errorf("serial %d, then %d", serial, now)
	}

	for range 19 {
		p.signal(t, syscall.SIGHUP)
		p.expect(t, "reloaded")
	}
	asked, lost := unanswered()
	_, gap := w.losses()
	t.Logf("20 reloads in %s, %d queries; %s at most between two answers", time.Since(began), asked, gap)
	if lost > 0 {
		t.Errorf("%d of %d queries had no answer", lost, asked)
	}

	// Where DNS is not configured any more nobody answers.
	rewrite(t, g.file, good+"service: {extensions: [plugins, alerting, failover, console]}\n")
	p.signal(t, syscall.SIGHUP)
	p.expect(t, "reloaded")
	if listening(g.dns) {
		t.Errorf("%s is still open", g.dns)
	}
}

// insist asks by UDP and TCP in turns, waiting for each answer however busy the machine is, until it is asked how many there were and how many had none.
func (g *failoverGateway) insist(t *testing.T) (end func() (asked, lost int)) {
	stop, done := make(chan struct{}), make(chan struct{})
	asked, lost := 0, 0
	go func() {
		defer close(done)
		for ; ; asked++ {
			select {
			case <-stop:
				return
			default:
			}
			client := dns.Client{Net: []string{"udp", "tcp"}[asked%2], Timeout: patience}
			if _, _, err := client.Exchange(new(dns.Msg).SetQuestion(liveName, dns.TypeA), g.dns); err != nil {
				t.Logf("query %d: %v", asked, err)
				lost++
			}
		}
	}()
	end = sync.OnceValues(func() (int, int) {
		close(stop)
		<-done
		return asked, lost
	})
	t.Cleanup(func() { end() })
	return end
}
