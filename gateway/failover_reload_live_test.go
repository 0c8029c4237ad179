package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A reload brings other weights and names. Only while parts start anew is there no answer; a file with mistakes changes nothing.
func TestFailoverReload(t *testing.T) {
	g := newFailoverGateway(t)
	p := g.start(t)
	w := g.watch(t)
	w.answered(t, g.idcs[0], g.idcs[1])
	serial, good := g.serial(t), g.config()

	// Mistakes in each part.
	bad := good
	for was, is := range map[string]string{"idc1: {weight: 50}": "idc1: {weight: 51}", "ttl: 2s": "ttl: 2d", "interval: 250ms": "interval: 1ms"} {
		bad = strings.Replace(bad, was, is, 1)
	}
	rewrite(t, g.file, bad)
	lost, _ := w.losses()
	p.signal(t, syscall.SIGHUP)
	p.expect(t, "reload: not valid, so nothing has changed")
	w.answered(t, g.idcs[0], g.idcs[1])
	if now, _ := w.losses(); now != lost || g.serial(t) != serial {
		t.Errorf("a bad file lost %d queries; serial %d, then %d", now-lost, serial, g.serial(t))
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
	now, gap := w.losses()
	t.Logf("the reload lost %d queries; %s at most without an answer", now-lost, gap)
	if gap > patience {
		t.Errorf("%s without an answer", gap)
	}
}
