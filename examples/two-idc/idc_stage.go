package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	clientDeadline = 300 * time.Millisecond
	gatewayProcess = "the gateway"
)

// idcStage is what the scene "idc" is played on.
type idcStage struct {
	*demo
	options
	inbox   *inbox
	watch   *watch
	clients *clients
	found   idcRun
	cancel  context.CancelFunc
	wait    sync.WaitGroup
}

// open starts the demo, a resolver, and clients that ask it. Close the stage even after an error.
func (s *idcStage) open(ctx context.Context) (context.Context, error) {
	s.found = idcRun{Gone: map[string][]float64{}, Median: map[string]float64{}, Back: map[string]float64{}, LastFailure: map[string]float64{}}
	with := alerting(s.options, "idc", s.inbox)
	more, prepare := filepath.Join(s.out, "idc", "idc.yaml"), with.prepare
	with.prepare = func(directory string) error {
		return errors.Join(prepare(directory), os.WriteFile(more, idcConfig, 0o644))
	}
	with.args, with.env = append(with.args, "--config", more), append(with.env, "DEMO_TOKEN="+demoToken)
	ctx, d, err := start(ctx, s.options, with)
	s.demo = d
	if err == nil {
		err = d.startUnbound(ctx)
	}
	if err != nil {
		return ctx, err
	}
	ctx, s.cancel = context.WithCancel(ctx)
	s.watch, s.clients = &watch{last: map[netip.Addr]time.Time{}}, &clients{}
	s.wait.Go(func() { s.watch.run(ctx) })
	for range 4 {
		s.wait.Go(func() { s.clients.run(ctx) })
	}
	return ctx, nil
}

func (s *idcStage) close() error {
	if s.cancel != nil {
		s.cancel()
	}
	s.wait.Wait()
	for _, dc := range twoIDCs() { // a process that is stopped does not end
		_ = s.processes.signal("envoy-"+dc.callers[0].name(), syscall.SIGCONT)
	}
	return s.demo.close()
}

// fresh gives the stage a gateway that remembers no failover, and waits until it answers both data centres.
func (s *idcStage) fresh(ctx context.Context) error {
	if err := errors.Join(s.processes.end(gatewayProcess, syscall.SIGTERM), os.RemoveAll(s.file("data/failover")), s.restorePlugins(), s.processes.again(gatewayProcess)); err != nil {
		return err
	}
	if err := await(ctx, gatewayProcess, consoleURL+"/-/ready", 30*time.Second); err != nil {
		return err
	}
	begin := time.Now()
	for _, dc := range twoIDCs() {
		if _, err := s.watch.back(ctx, netip.MustParseAddr(dc.callers[0].ip), 30*time.Second); err != nil {
			return err
		}
	}
	time.Sleep(time.Until(begin.Add(2 * time.Second))) // some probes, and clients that are at home again
	return nil
}

// killPlugins kills all plugins and takes away what they would be started from.
func (s *idcStage) killPlugins(ctx context.Context) error {
	if err := os.Rename(s.file("plugins"), s.file("plugins.away")); err != nil {
		return err
	}
	return until(ctx, 30*time.Second, func() error {
		var list struct {
			Plugins []struct {
				Name string
				PID  int
			}
		}
		if err := readJSON(ctx, consoleURL+"/api/v1/plugins", &list); err != nil {
			return err
		}
		var err error
		for _, p := range list.Plugins {
			if p.PID > 0 {
				err = fmt.Errorf("plugin %s still lives", p.Name)
				_ = syscall.Kill(p.PID, syscall.SIGKILL)
			}
		}
		return err
	})
}

func (s *idcStage) restorePlugins() error {
	err := os.Rename(s.file("plugins.away"), s.file("plugins"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// A watch asks the gateway's DNS server all the time and remembers when it answered which address.
type watch struct {
	mu      sync.Mutex
	last    map[netip.Addr]time.Time
	answers int
}

func (w *watch) run(ctx context.Context) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var a *asker
	for ctx.Err() == nil {
		var ip netip.Addr
		var err error
		if a == nil {
			a, err = newAsker(nameServer)
		}
		if err == nil {
			ip, err = a.ask()
		}
		if err == nil {
			w.mu.Lock()
			w.last[ip], w.answers = time.Now(), w.answers+1
			w.mu.Unlock()
		} else if a != nil { // the gateway starts again
			a.close()
			a = nil
		}
		<-tick.C
	}
}

// gone waits until an address is not answered any more, and tells how long after a time it was answered last.
func (w *watch) gone(ctx context.Context, ip netip.Addr, since time.Time) (time.Duration, error) {
	const quiet, enough = time.Second, 100
	var took time.Duration
	err := until(ctx, 20*time.Second, func() error {
		w.mu.Lock()
		before := w.answers
		w.mu.Unlock()
		time.Sleep(quiet)
		w.mu.Lock()
		defer w.mu.Unlock()
		if time.Since(w.last[ip]) < quiet || w.answers-before < enough {
			return fmt.Errorf("%s is still answered", ip)
		}
		took = max(0, w.last[ip].Sub(since))
		return nil
	})
	return took, err
}

// back waits until an address is answered, and tells when.
func (w *watch) back(ctx context.Context, ip netip.Addr, within time.Duration) (time.Time, error) {
	begin := time.Now()
	for {
		w.mu.Lock()
		at := w.last[ip]
		w.mu.Unlock()
		switch {
		case at.After(begin):
			return at, nil
		case time.Since(begin) > within:
			return at, fmt.Errorf("%s is not answered within %v", ip, within)
		case ctx.Err() != nil:
			return at, context.Cause(ctx)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// A visit is one request of a client.
type visit struct {
	at, end time.Time
	ip      netip.Addr // where the resolver sent it
	ok      bool
}

// clients resolve the name by the resolver for each request, as those do that keep no connection.
type clients struct {
	mu  sync.Mutex
	all []visit
}

func (c *clients) run(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		v := visit{at: time.Now()}
		a, err := newAsker(resolver)
		if err == nil {
			v.ip, err = a.ask()
			a.close()
		}
		if err == nil {
			v.ok = visitOnce(ctx, v.ip, http.StatusOK) == nil
			v.end = time.Now()
			c.mu.Lock()
			c.all = append(c.all, v)
			c.mu.Unlock()
		}
		<-tick.C
	}
}

// visitOnce has the application answer with a status, by a connection of its own.
func visitOnce(ctx context.Context, ip netip.Addr, status int) error {
	ctx, cancel := context.WithTimeout(ctx, clientDeadline)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(ip, uint16(proxy{role: ingress}.port())).String())
	}}
	got, err := fetch(ctx, &http.Client{Transport: transport}, fmt.Sprintf("http://%s:%d/app/status/%d", serviceHost, httpPort, status), "v1")
	if err == nil && got != status {
		err = fmt.Errorf("status %d", got)
	}
	return err
}

// moved wants every request that began after a time to have gone elsewhere, and well. It tells how long after the death of an address one that
// began since then still failed.
func (c *clients) moved(dead netip.Addr, died, by time.Time) (last time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	after := 0
	for _, v := range c.all {
		switch {
		case v.at.Before(died):
		case v.at.Before(by):
			if !v.ok {
				last = max(last, v.end.Sub(died))
			}
		case v.ip == dead, !v.ok:
			return 0, fmt.Errorf("a client's request %.2f s after the death went to %s, ok %v", v.at.Sub(died).Seconds(), v.ip, v.ok)
		default:
			after++
		}
	}
	if after == 0 {
		return 0, errors.New("no client got through")
	}
	return last, nil
}
