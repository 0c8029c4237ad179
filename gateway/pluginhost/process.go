package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	healthInterval = time.Second
	healthMisses   = 5 // unanswered in a row before a plugin counts as hung

	// patience is how long a first start is repeated that fails for the moment only: after a kill -9 of the gateway
	// the plugins of the last one still need a moment to close their data.
	patience = 5 * time.Second

	backoffFirst = 100 * time.Millisecond
	backoffMost  = 30 * time.Second
	backoffReset = time.Minute // of work after which earlier failures are forgotten
)

// The states of a process.
const (
	stateStarting = "starting"
	stateRunning  = "running"
	stateBackoff  = "backoff"
	stateStopped  = "stopped"
)

// starter starts a plugin anew.
type starter interface {
	// start returns the configured plugin, to serve HTTP of its own at listen and to print to out, or why there is none.
	start(ctx context.Context, listen string, out *output) (*instance, error)
}

// process keeps one plugin running until its context ends.
type process struct {
	name, kind, binary, sha256 string
	starter                    starter
	log                        *zap.Logger
	metrics                    *metrics
	lines                      ring // what it printed

	mu        sync.Mutex
	listen    string    // where the plugin may serve HTTP; the same at each restart unless something else has taken it
	inst      *instance // nil unless running
	state     string
	isHealthy bool // the instance is, as last told
	since     time.Time
	restarts  int
	lastError string
	queryURL  string // as last told
	version   string // as last told
}

// start is the first start: its error is the gateway's.
func (p *process) start(ctx context.Context) error {
	for began := time.Now(); ; {
		p.change(stateStarting, nil, nil)
		inst, err := p.starter.start(ctx, p.listen, p.output())
		if err == nil {
			p.change(stateRunning, inst, nil)
			return nil
		}
		if later := new(laterError); !errors.As(err, later) || time.Since(began) > patience {
			p.change(stateStopped, nil, err)
			return err
		}
		p.log.Warn("plugin can't start just now, trying again", zap.Error(err))
	}
}

// run watches the process that start has left running, and restarts it whenever it ends. It never gives up.
func (p *process) run(ctx context.Context, inst *instance) {
	defer p.change(stateStopped, nil, nil)
	failures := 0
	for {
		began := time.Now()
		err := p.watch(ctx, inst)
		if err == nil {
			p.stop(inst)
			return
		}
		if time.Since(began) > backoffReset {
			failures = 0
		}
		for inst = nil; inst == nil; failures++ {
			if !p.wait(ctx, err, backoff(failures, rand.Float64())) {
				return
			}
			inst, err = p.restart(ctx)
		}
	}
}

// watch returns why the plugin no longer runs, or nil when ctx ended before it did.
func (p *process) watch(ctx context.Context, inst *instance) error {
	ticker := time.NewTicker(healthInterval)
	defer ticker.Stop()
	misses := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-inst.exited:
			err := inst.ended()
			inst.kill() // nothing is left to kill; this frees what go-plugin holds
			return err
		case <-ticker.C:
		}
		answered, err := inst.health(ctx)
		if ctx.Err() != nil {
			return nil
		}
		p.healthy(err)
		if misses++; answered {
			misses = 0
		}
		if misses == healthMisses {
			inst.kill()
			return fmt.Errorf("did not answer %d health checks in a row (%w): killed", misses, err)
		}
	}
}

// wait says that the plugin is down and lets the time before its restart pass. False when ctx ended first.
func (p *process) wait(ctx context.Context, err error, delay time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	p.change(stateBackoff, nil, err)
	p.log.Error("plugin is down, restarting it", zap.Error(err), zap.Duration("in", delay))
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// restart tries once.
func (p *process) restart(ctx context.Context) (*instance, error) {
	p.change(stateStarting, nil, nil)
	p.metrics.restarted(p.name, 1)
	if err := p.keepListen(); err != nil {
		return nil, err
	}
	inst, err := p.starter.start(ctx, p.listen, p.output())
	if err != nil {
		return nil, err
	}
	p.change(stateRunning, inst, nil)
	p.log.Warn("plugin is back", zap.Int("pid", inst.pid))
	return inst, nil
}

// backoff is how long to wait after so many failures in a row: 100 ms, doubled each time up to 30 s. Up to half of it
// is taken away by random (0 to 1), so that what fails together does not come back together.
func backoff(failures int, random float64) time.Duration {
	wait := backoffMost
	if failures < 16 {
		wait = min(backoffMost, backoffFirst<<failures)
	}
	return wait - time.Duration(random*float64(wait)/2)
}

// stop ends a running plugin in good order.
func (p *process) stop(inst *instance) {
	p.change(stateStopped, nil, nil)
	if err := inst.stop(); err != nil {
		p.log.Warn("plugin did not stop in good order", zap.Error(err))
	}
}

// keepListen picks another port if something else has taken ours while the plugin was down.
func (p *process) keepListen() error {
	listener, err := net.Listen("tcp", p.listen)
	if err != nil {
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
	}
	p.mu.Lock()
	p.listen = listener.Addr().String()
	p.mu.Unlock()
	return listener.Close()
}

func (p *process) output() *output {
	return &output{log: p.log}
}

// change moves to another state. A nil err keeps the last error.
func (p *process) change(state string, inst *instance, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == stateBackoff && state == stateStarting {
		p.restarts++
	}
	if p.state != state {
		p.state, p.since = state, time.Now()
	}
	if p.inst = inst; inst != nil {
		p.queryURL, p.version = inst.info.GetQueryUrl(), inst.info.GetVersion()
	}
	if err != nil {
		p.lastError = err.Error()
	}
	p.isHealthy = inst != nil
	p.metrics.up(p.name, p.kind, p.isHealthy)
}

// healthy records what the running plugin says of itself.
func (p *process) healthy(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.lastError = err.Error()
	}
	p.isHealthy = err == nil
	p.metrics.up(p.name, p.kind, p.isHealthy)
}

// current is the running instance, or an error that says why there is none.
func (p *process) current() (*instance, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inst != nil {
		return p.inst, nil
	}
	if p.lastError == "" {
		return nil, fmt.Errorf("plugin %s is %s", p.name, p.state)
	}
	return nil, errors.New("plugin " + p.name + " is down (" + p.state + "): " + p.lastError)
}
