package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	demoToken = "demo-only-token-0123456789"
	shiftTime = 45 * time.Second
	stepTime  = 12 * time.Second // of the ramp
)

// shift moves all but 1 % to IDC 1 by hand, for a while. A gateway that is killed meanwhile goes on with it.
func (s *idcStage) shift(ctx context.Context) (err error) {
	if err := s.fresh(ctx); err != nil {
		return err
	}
	begin := time.Now()
	if err := s.lockkeeper(ctx, "shift", "apply", "--to", "idc2=1", "--for", shiftTime.String(), "--why", "demo"); err != nil {
		return err
	}
	if s.found.Canary, err = s.shares(ctx, 100_000, 0.99, 0.001); err != nil {
		return err
	}
	s.say("1 %% for IDC 2: of 100,000 answers %s", percents(s.found.Canary))
	if err := errors.Join(s.processes.end(gatewayProcess, syscall.SIGKILL), s.processes.again(gatewayProcess)); err != nil {
		return err
	}
	if err := await(ctx, gatewayProcess, consoleURL+"/-/ready", 30*time.Second); err != nil {
		return err
	}
	shares, err := s.shares(ctx, 10_000, 0.99, 0.001)
	if err != nil {
		return err
	}
	s.say("the gateway was killed and started again: of 10,000 answers %s", percents(shares))
	time.Sleep(time.Until(begin.Add(shiftTime - 3*time.Second)))
	if err := s.lockkeeper(ctx, "shift", "status"); err != nil {
		return err
	}
	time.Sleep(time.Until(begin.Add(shiftTime + time.Second)))
	if shares, err = s.shares(ctx, 10_000, 0.5, 0.01); err != nil {
		return err
	}
	s.say("the shift ended by itself after %v: of 10,000 answers %s", shiftTime, percents(shares))
	return nil
}

// ramp moves traffic in steps, until one in four requests in the IDC that gains fails.
func (s *idcStage) ramp(ctx context.Context) error {
	if err := s.lockkeeper(ctx, "shift", "apply", "--to", "idc2=50", "--steps", "1,25", "--each", stepTime.String(), "--for", "2m",
		"--abort-if", "error_ratio=5%,min_requests=50", "--why", "demo"); err != nil {
		return err
	}
	time.Sleep(stepTime + 2*time.Second)
	shares, err := s.shares(ctx, 10_000, 0.75, 0.01)
	if err != nil {
		return err
	}
	s.say("step 2 of the ramp: of 10,000 answers %s", percents(shares))
	failing, stop := context.WithCancel(ctx)
	defer stop()
	begin := time.Now()
	s.wait.Go(func() { failRequests(failing, netip.MustParseAddr(twoIDCs()[1].callers[0].ip)) })
	for {
		all, err := share(ctx, nameServer, 400)
		if err != nil {
			return err
		}
		took := time.Since(begin)
		if math.Abs(all[netip.MustParseAddr(twoIDCs()[0].callers[0].ip)]-0.5) < 0.01 {
			s.found.Abort = took.Seconds()
			break
		}
		if took > stepTime {
			return fmt.Errorf("the ramp goes on for %v although requests fail", took)
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.say("requests fail in IDC 2: the ramp was aborted, and half is answered again, after %.1f s", s.found.Abort)
	return errors.Join(s.lockkeeper(ctx, "shift", "status"), s.lockkeeper(ctx, "failover", "events"))
}

// failRequests sends requests of which every other fails.
func failRequests(ctx context.Context, ip netip.Addr) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for path := http.StatusOK; ctx.Err() == nil; path = http.StatusOK + http.StatusServiceUnavailable - path {
		_ = visitOnce(ctx, ip, path)
		<-tick.C
	}
}

// lockkeeper runs a command as people do, and shows what it says.
func (o options) lockkeeper(ctx context.Context, args ...string) error {
	command := exec.CommandContext(ctx, o.gateway, args...)
	command.Env = append(os.Environ(), "LOCKKEEPER_TOKEN="+demoToken)
	out, err := command.CombinedOutput()
	fmt.Printf("\n$ lockkeeper %s\n%s\n\n", strings.Join(args, " "), bytes.TrimSpace(out))
	if err != nil {
		return fmt.Errorf("lockkeeper %s: %w", strings.Join(args, " "), err)
	}
	return nil
}
