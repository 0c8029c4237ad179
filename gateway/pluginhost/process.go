package pluginhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	healthInterval = time.Second
	healthMisses   = 5 // unanswered in a row before a plugin counts as hung

	// patience is how long the gateway waits at its own start for a plugin. One that needs longer starts while the gateway
	// already works; one that can't start for the moment only is tried again: after a kill -9 of the gateway the plugins of
	// the last one still need a moment to close their data.
	patience = 5 * time.Second
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
	address                    string // of a plugin whose process is not ours
	starter                    starter
	log                        *zap.Logger
	metrics                    *metrics
	journal                    *journal
	memory                     *memory // nil for a plugin whose process is not ours
	first                      verdict

	complaint  string // the last one in the log; run alone uses it
	complained time.Time

	mu        sync.Mutex
	queues    []queue
	listen    string    // where the plugin may serve HTTP; the same at each restart unless something else has taken it
	inst      *instance // nil unless running
	state     string
	isHealthy bool // the instance is, as last told
	since     time.Time
	restarts  int
	lastError string
	queryURL  string // as last told
	signals   []string
	version   string // as last told

	started  fs.FileInfo // of the binary at the last start; nil when there was none
	replaced bool        // the binary that runs is no longer the one on disk
}

// verdict is what the gateway's own start waits for: nil, or why the plugin will not run as it is configured.
type verdict struct {
	once sync.Once
	done chan struct{}
	err  error // read after done
}

// give is true the first time.
func (v *verdict) give(err error) (first bool) {
	v.once.Do(func() {
		v.err, first = err, true
		close(v.done)
	})
	return first
}

// run starts the plugin, watches it, and starts it again whenever it ends. It gives up only while the gateway itself
// starts, which then fails.
func (p *process) run(ctx context.Context) {
	defer p.change(stateStopped, nil, nil)
	goOn := time.AfterFunc(patience, func() {
		p.first.once.Do(func() {
			p.log.Warn("still starting; the gateway goes on without it", zap.Error(p.down()))
			close(p.first.done)
		})
	})
	defer goOn.Stop()
	for failures := 0; ; failures++ {
		began, took := time.Now(), time.Duration(0)
		inst, err := p.start(ctx)
		if err == nil {
			p.first.give(nil)
			began = time.Now()
			if err = p.watch(ctx, inst); err == nil {
				p.stop(inst)
				return
			}
			if time.Since(began) > backoffReset {
				failures = 0
			}
		} else {
			if p.address == "" { // to try a connection costs nothing
				took = time.Since(began)
			}
			if later := new(laterError); ctx.Err() != nil || !errors.As(err, later) && p.first.give(err) {
				p.change(stateStopped, nil, err)
				return
			}
		}
		again, replaced := p.wait(ctx, err, backoff(failures, took, rand.Float64()))
		if !again {
			return
		}
		if replaced {
			failures = -1
		}
	}
}

// start tries once.
func (p *process) start(ctx context.Context) (*instance, error) {
	p.change(stateStarting, nil, nil)
	if err := p.keepListen(); err != nil {
		return nil, err
	}
	inst, err := p.starter.start(ctx, p.listen, &output{journal: p.journal})
	if err != nil {
		return nil, err
	}
	if p.change(stateRunning, inst, nil) > 0 {
		p.log.Warn("plugin is back", zap.Int("pid", inst.pid))
	}
	return inst, nil
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
			why := inst.ended()
			inst.kill() // nothing is left to kill; this frees what go-plugin holds
			return cmp.Or(why, errors.New("killed as its start ran out of time"))
		case <-ticker.C:
		}
		p.journal.tell()
		p.lookAtBinary()
		answered, err := inst.health(ctx)
		if ctx.Err() != nil {
			return nil
		}
		p.healthy(err)
		if misses++; answered {
			misses = 0
		}
		if misses == healthMisses {
			p.metrics.killed(p.name, "hung")
			inst.kill()
			return fmt.Errorf("did not answer %d health checks in a row (%w)", misses, err)
		}
	}
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
	if p.listen == "" {
		return nil
	}
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

// change moves to another state and tells how often the plugin was restarted. A nil err keeps the last error.
func (p *process) change(state string, inst *instance, err error) (restarts int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if state == stateStarting {
		if p.state == stateBackoff {
			p.restarts++
			p.metrics.restarted(p.name, 1)
		}
		p.started, p.replaced = fileAt(p.binary), false
		if p.binary != "" {
			p.metrics.binaryChanged(p.name, false)
		}
	}
	if p.state != state {
		p.state, p.since = state, time.Now()
	}
	if p.inst = inst; inst != nil {
		p.queryURL, p.signals, p.version = inst.info.GetQueryUrl(), inst.info.GetSignals(), inst.info.GetVersion()
	}
	if err != nil {
		p.lastError = err.Error()
	}
	p.isHealthy = inst != nil
	p.metrics.up(p.name, p.kind, p.isHealthy)
	return p.restarts
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
	inst := p.inst
	p.mu.Unlock()
	if inst != nil {
		return inst, nil
	}
	return nil, p.down()
}

// down says that there is no running instance, and why.
func (p *process) down() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lastError == "" {
		return fmt.Errorf("plugin %s is %s", p.name, p.state)
	}
	return errors.New("plugin " + p.name + " is down (" + p.state + "): " + p.lastError)
}
