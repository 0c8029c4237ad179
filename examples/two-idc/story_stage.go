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
	"sync/atomic"
	"syscall"
	"time"
)

const (
	lingers    = 30 * time.Second       // of a chapter that nobody checks
	worldBeat  = 100 * time.Millisecond // between requests of a client
	worldLimit = time.Second            // for an answer
)

// storyStage is what the scene "story" is played on.
type storyStage struct {
	*demo
	options
	inbox  *inbox
	page   *page // nil: nobody looks
	broken atomic.Bool
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// open starts machines, gateway, Envoys, traffic and a browser. Close the stage even after an error.
func (s *storyStage) open(ctx context.Context) (context.Context, error) {
	directory := filepath.Join(s.out, "story")
	o := s.options
	o.rules = filepath.Join(directory, "rules")
	with := alerting(o, "story", s.inbox)
	prepare := with.prepare
	with.idcs = storyIDCs()
	with.prepare = func(directory string) error { return errors.Join(prepare(directory), prepareStory(directory)) }
	with.args = append(with.args, "--config", filepath.Join(directory, "idc.yaml"), "--config", filepath.Join(directory, "story.yaml"))
	with.env = append(with.env, "DEMO_TOKEN="+demoToken)
	ctx, d, err := start(ctx, s.options, with)
	s.demo = d
	if err == nil {
		err = s.startMachines()
	}
	if err == nil {
		err = s.startShops(ctx)
	}
	if err == nil {
		err = s.fresh(ctx)
	}
	if err != nil {
		return ctx, err
	}
	traffic, cancel := context.WithCancel(ctx)
	s.cancel = cancel
	s.startTraffic(traffic)
	s.page, err = s.openPage(ctx)
	return ctx, err
}

func (s *storyStage) close() error {
	if s.cancel != nil {
		s.cancel()
	}
	s.wait.Wait()
	return errors.Join(s.page.close(), s.demo.close())
}

// fresh gives the stage a gateway that remembers no failover: the first one saw everything dead before it was started.
func (s *storyStage) fresh(ctx context.Context) error {
	return errors.Join(
		s.processes.end(gatewayProcess, syscall.SIGTERM), os.RemoveAll(s.file("data")), s.processes.again(gatewayProcess),
		await(ctx, gatewayProcess, consoleURL+"/-/ready", 30*time.Second),
	)
}

func (s *storyStage) linger(ctx context.Context) error {
	select {
	case <-time.After(lingers):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *storyStage) startMachines() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for n := range s.idcs {
		for _, m := range storyMachines(n) {
			if err := s.processes.start(m.name, s.file(m.name+".log"), nil, self, "app", "--address", network{}.ip(m.host)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *storyStage) startShops(ctx context.Context) error {
	for _, dc := range s.idcs {
		for _, p := range dc.behind {
			config, err := s.shopConfig(p, dc)
			if err != nil {
				return err
			}
			name := "envoy-" + p.name()
			if err := os.WriteFile(s.file(name+".json"), config, 0o644); err != nil {
				return err
			}
			if err := s.processes.start(name, s.file(name+".log"), nil, s.envoy, "-c", s.file(name+".json"), "--concurrency", "1", "--disable-hot-restart", "-l", "warning"); err != nil {
				return err
			}
			for _, service := range hosted() {
				if err := await(ctx, "Envoy "+p.name(), fmt.Sprintf("http://%s/%s/status/200", p.address(), service), 30*time.Second); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// startTraffic has the frontends call, and the world, which asks DNS where to.
func (s *storyStage) startTraffic(ctx context.Context) {
	for _, c := range s.callers {
		if c.from.role == client {
			s.wait.Go(func() { s.call(ctx, c) })
		}
	}
	for n := range 4 {
		s.wait.Go(func() { s.visit(ctx, n) })
	}
}

// call sends plain requests and, while it is broken, in between some that find a closed port.
func (s *storyStage) call(ctx context.Context, c *caller) {
	tick := time.NewTicker(2 * worldBeat)
	defer tick.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		_ = get("/app/delay/3ms", http.StatusOK)(ctx, c)
		if s.broken.Load() && c.from.idc == "idc2" && c.to.version == "v2" && n%2 == 0 {
			_ = get("/closed/", http.StatusServiceUnavailable)(ctx, c)
		}
		<-tick.C
	}
}

// visit asks DNS for each request, and takes a connection of its own for it, as the world does.
func (s *storyStage) visit(ctx context.Context, n int) {
	tick := time.NewTicker(worldBeat)
	defer tick.Stop()
	for ; ctx.Err() == nil; n++ {
		if a, err := newAsker(nameServer); err == nil {
			ip, err := a.ask()
			a.close()
			if err == nil {
				visitPath(ctx, ip, n)
			}
		}
		<-tick.C
	}
}

func visitPath(ctx context.Context, ip netip.Addr, n int) {
	ctx, cancel := context.WithTimeout(ctx, worldLimit)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(ip, uint16(proxy{role: ingress}.port())).String())
	}}
	url := fmt.Sprintf("http://%s:%d/app/delay/2ms", serviceHost, httpPort)
	if at := n % 4; at < len(hosted()) {
		url = fmt.Sprintf("http://%s:%d/%s/delay/%dms", hostOf("shop"), httpPort, hosted()[at], at+2)
	}
	_, _ = fetch(ctx, &http.Client{Transport: transport}, url, fmt.Sprintf("v%d", 1+n/4%2)) // that it fails now and then is the story
}
