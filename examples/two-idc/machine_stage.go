package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	patience = time.Minute            // for what should take seconds
	calm     = 500 * time.Millisecond // before a fault
)

// machineStage is what the scene "machine" is played on.
type machineStage struct {
	*demo
	options
	network network
	fleets  []*fleet
	found   []*suffered
	cancel  context.CancelFunc
	wait    sync.WaitGroup
}

// open starts the machines, a gateway, the Envoys and their load. Close the stage even after an error.
func (s *machineStage) open(ctx context.Context) (context.Context, error) {
	ctx, fail := context.WithCancelCause(ctx)
	s.demo = &demo{name: "machine", dir: filepath.Join(s.out, "machine"), processes: &processes{fail: fail}}
	s.fleets = fleets()
	if err := errors.Join(os.RemoveAll(s.dir), os.MkdirAll(s.dir, 0o755)); err != nil {
		return ctx, err
	}
	if err := s.writeMachines(); err != nil {
		return ctx, err
	}
	self, err := os.Executable()
	if err != nil {
		return ctx, err
	}
	for _, m := range machines() {
		if err := s.network.start(s.processes, m, s.file(m.name+".log"), self, "app", "--address", s.network.ip(m.host)); err != nil {
			return ctx, err
		}
	}
	if err := s.startGateway(ctx, profiles()[0]); err != nil {
		return ctx, err
	}
	if err := s.startEnvoys(); err != nil {
		return ctx, err
	}
	for _, f := range s.fleets {
		for _, b := range f.envoys {
			if err := await(ctx, "Envoy "+b.name, f.url(s.network, b, 0), 30*time.Second); err != nil {
				return ctx, err
			}
		}
	}
	s.introduce()
	ctx, s.cancel = context.WithCancel(ctx)
	for _, f := range s.fleets {
		s.wait.Go(func() { f.load(ctx, s.network) })
	}
	return ctx, nil
}

func (s *machineStage) introduce() {
	s.say("3 machines, each with an endpoint of %d clusters; retries are on", services)
	for _, f := range s.fleets {
		s.say("%d requests a second by %d Envoys with %s", f.rate, len(f.envoys), f.name)
	}
	for _, f := range s.network.faults() {
		s.say("%s: %s", f.name, f.how)
	}
	if s.network.own {
		s.say("in a network of its own; to look into it: nsenter -t %d -n curl %s", os.Getpid(), consoleURL)
	}
}

func (s *machineStage) close() error {
	if s.cancel != nil {
		s.cancel()
	}
	s.wait.Wait()
	for _, m := range machines() { // a process that is stopped does not end
		if s.processes.has(m.name) {
			_ = s.processes.signal(m.name, syscall.SIGCONT)
		}
	}
	return s.processes.stop()
}

func (s *machineStage) startEnvoys() error {
	id := 0
	for _, f := range s.fleets {
		for _, b := range f.envoys {
			config, err := s.bootstrap(f, b)
			if err != nil {
				return err
			}
			file, log := s.file(b.name+".yaml"), s.file(b.name+".log")
			if err := os.WriteFile(file, config, 0o644); err != nil {
				return err
			}
			id++
			err = s.network.start(s.processes, b, log, s.envoy, "-c", file, "--service-node", "demo-"+strconv.Itoa(id),
				"--concurrency", "1", "--disable-hot-restart", "-l", "warning", "--file-flush-interval-msec", "50")
			if err != nil {
				return err
			}
			f.tries = append(f.tries, &tryLog{file: log})
		}
	}
	return nil
}

func (s *machineStage) startGateway(ctx context.Context, p profile) error {
	module := "ping"
	if !s.network.own {
		module = "port"
	}
	env := []string{
		"DEMO_DIRECTORY=" + s.dir, "LOCKKEEPER_DATA=" + s.file("data"), "DEMO_ADDRESS=" + s.network.ip(1), "DEMO_MODULE=" + module,
		"DEMO_INTERVAL=" + p.interval.String(), "DEMO_TIMEOUT=" + p.timeout.String(), "DEMO_PROFILE=" + p.failover,
	}
	if err := s.processes.start(gatewayProcess, s.file("gateway.log"), env, s.gateway, "run", "--config", s.file("machine.yaml")); err != nil {
		return err
	}
	return await(ctx, gatewayProcess, consoleURL+"/-/ready", 30*time.Second)
}

// fresh gives the stage a gateway with another profile that remembers no failover, and waits until Envoys are connected to it.
func (s *machineStage) fresh(ctx context.Context, p profile) error {
	if err := errors.Join(s.processes.end(gatewayProcess, syscall.SIGTERM), os.RemoveAll(s.file("data/failover")), s.startGateway(ctx, p)); err != nil {
		return err
	}
	return untilEach(ctx, 100*time.Millisecond, patience, func() error {
		want := float64(len(s.fleets[0].envoys))
		if got, err := selfMetric(ctx, "localhost", "lockkeeper_xds_streams"); err != nil || got != want {
			return errors.Join(err, fmt.Errorf("%v Envoys are connected, expected %v", got, want))
		}
		return nil
	})
}

// selfMetric is the sum of a metric of a gateway's own.
func selfMetric(ctx context.Context, host, name string) (sum float64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+":8888/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+"{"); ok {
			fields := strings.Fields(rest)
			value, err := strconv.ParseFloat(fields[len(fields)-1], 64)
			if err != nil {
				return 0, err
			}
			sum += value
		}
	}
	return sum, err
}

// outSince tells since when a machine is taken out; zero: it is not.
func outSince(ctx context.Context, subject string) (time.Time, error) {
	var serving struct {
		Out map[string]struct{ Since time.Time }
	}
	err := readJSON(ctx, consoleURL+"/api/v1/serving", &serving)
	return serving.Out[subject].Since, err
}

// busy waits until all fleets send to a machine, and for a while nothing fails or is slow.
func (s *machineStage) busy(ctx context.Context, address netip.Addr) error {
	for _, f := range s.fleets {
		f.forget()
	}
	return untilEach(ctx, 50*time.Millisecond, patience, func() error {
		since := time.Now().Add(-calm)
		for _, f := range s.fleets {
			first, err := f.firstTry(address, since)
			if err != nil || first.IsZero() {
				return errors.Join(err, fmt.Errorf("with %s nothing is sent to %s", f.name, address))
			}
			good := 0
			for _, a := range f.arrived(since, time.Now()) {
				if a.ok && a.took < slowAfter {
					good++
				}
			}
			if want := 0.8 * calm.Seconds() * float64(f.rate); float64(good) < want {
				return fmt.Errorf("with %s only %d requests of %.0f have an answer in time before anything happens: is this machine too busy?", f.name, good, want)
			}
		}
		return nil
	})
}
