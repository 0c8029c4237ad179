package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A fleet is client Envoys that are told of endpoints in the same way.
type fleet struct {
	name   string
	envoys []box
	rate   int    // requests a second, of all
	static object // what its clusters have besides; nil: they come from the gateway

	tries []*tryLog
	mu    sync.Mutex
	all   []arrival
}

// fleets: the gateway's own is the first.
func fleets() []*fleet {
	return []*fleet{
		{name: "xDS", envoys: []box{{"c1", 21}, {"c2", 22}}, rate: 500},
		{name: "static clusters", envoys: []box{{"c3", 31}}, rate: 100, static: object{}},
		{name: "outlier_detection", envoys: []box{{"c4", 41}}, rate: 100, static: object{"outlier_detection": object{}}},
	}
}

// An arrival is one request that came to a fleet.
type arrival struct {
	at   time.Time
	took time.Duration
	ok   bool
}

// load sends requests at the fleet's rate, however long they take, until ctx ends.
func (f *fleet) load(ctx context.Context, n network) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DialContext: (&net.Dialer{Timeout: answerTime}).DialContext}}
	defer client.CloseIdleConnections()
	var wait sync.WaitGroup
	defer wait.Wait()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	begin, sent := time.Now(), 0
	for ctx.Err() == nil {
		for ; sent < int(time.Since(begin).Seconds()*float64(f.rate)); sent++ {
			url := f.url(n, f.envoys[sent%len(f.envoys)], sent/len(f.envoys)%services)
			wait.Go(func() { f.send(ctx, client, url) })
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// url is that of a service, by one of the fleet's Envoys. On loopback addresses those that the gateway serves all listen on the first one's.
func (f *fleet) url(n network, by box, service int) string {
	if !n.own {
		by = f.envoys[0]
	}
	return fmt.Sprintf("http://%s:%d/%s/status/200", n.ip(by.host), entryPort, serviceName(service))
}

func (f *fleet) send(ctx context.Context, client *http.Client, url string) {
	a := arrival{at: time.Now()}
	status, err := fetch(ctx, client, url, "v1")
	if ctx.Err() != nil {
		return
	}
	a.took, a.ok = time.Since(a.at), err == nil && status == http.StatusOK
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, a)
}

// arrived are the requests that began in a span of time and have ended.
func (f *fleet) arrived(from, to time.Time) (all []arrival) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.all {
		if !a.at.Before(from) && a.at.Before(to) {
			all = append(all, a)
		}
	}
	return all
}

// forget makes room.
func (f *fleet) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = nil
	for _, t := range f.tries {
		t.all = nil
	}
}

// lastTry tells when the last try at an address began in a span of time; zero: none is known that has ended.
func (f *fleet) lastTry(to netip.Addr, from, until time.Time) (last time.Time, err error) {
	for _, log := range f.tries {
		err = errors.Join(err, log.read())
		for _, t := range log.all {
			if t.to == to && t.at.After(last) && !t.at.Before(from) && t.at.Before(until) {
				last = t.at
			}
		}
	}
	return last, err
}

// firstTry tells when the first try at an address began since a time; zero: there is none yet.
func (f *fleet) firstTry(to netip.Addr, from time.Time) (first time.Time, err error) {
	for _, log := range f.tries {
		err = errors.Join(err, log.read())
		for _, t := range log.all {
			if t.to == to && !t.at.Before(from) && (first.IsZero() || t.at.Before(first)) {
				first = t.at
			}
		}
	}
	return first, err
}

// spoiled counts the tries that failed elsewhere than at an address and began in a span of time.
func (f *fleet) spoiled(but netip.Addr, from, until time.Time) (n int) {
	for _, log := range f.tries {
		for _, t := range log.all {
			if t.to != but && !t.ok && !t.at.Before(from) && t.at.Before(until) {
				n++
			}
		}
	}
	return n
}

// known tells up to when every Envoy has told of its tries: of those that began a while before, nothing is missing.
func (f *fleet) known() (at time.Time) {
	for i, log := range f.tries {
		if i == 0 || log.newest.Before(at) {
			at = log.newest
		}
	}
	return at
}

// A try is one of a request's, at one endpoint. The address is invalid when Envoy had none.
type try struct {
	at time.Time
	to netip.Addr
	ok bool // it brought an answer
}

// A tryLog follows what an Envoy logs of tries, each when it has ended.
type tryLog struct {
	file   string
	offset int64
	rest   []byte
	newest time.Time
	all    []try
}

func (l *tryLog) read() error {
	file, err := os.Open(l.file)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, l.offset, 1<<30))
	if err != nil {
		return err
	}
	l.offset += int64(len(text))
	lines := bytes.Split(append(l.rest, text...), []byte("\n"))
	l.rest = bytes.Clone(lines[len(lines)-1])
	for _, line := range lines[:len(lines)-1] {
		if t, ok := parseTry(string(line)); ok {
			l.all, l.newest = append(l.all, t), later(t.at, l.newest)
		}
	}
	return nil
}

func parseTry(line string) (t try, ok bool) {
	line, ok = strings.CutPrefix(line, tryMark)
	fields := strings.Fields(line)
	if !ok || len(fields) < 3 {
		return t, false
	}
	whole, fraction, ok := strings.Cut(fields[0], ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	micros, err2 := strconv.ParseUint(fraction, 10, 32)
	if !ok || err != nil || err2 != nil || len(fraction) != 6 {
		return t, false
	}
	if to, err := netip.ParseAddrPort(fields[1]); err == nil {
		t.to = to.Addr()
	}
	t.at, t.ok = time.Unix(seconds, int64(micros)*1000), fields[2] == "200"
	return t, true
}
