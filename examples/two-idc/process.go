package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"
)

// processes are the children of the demo. One that ends by itself ends the demo.
type processes struct {
	fail    context.CancelCauseFunc
	mu      sync.Mutex
	started []*process
}

type process struct {
	name     string
	log      string
	command  *exec.Cmd
	done     chan struct{}
	err      error // how it ended, once done
	stopping bool
}

// start runs a program with its output in the file log.
func (ps *processes) start(name, log string, env []string, program string, args ...string) error {
	p := &process{name: name, log: log, command: exec.Command(program, args...)}
	p.command.Env = append(os.Environ(), env...)
	return ps.run(p)
}

func (ps *processes) run(p *process) error {
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	p.done = make(chan struct{})
	p.command.Stdout, p.command.Stderr = out, out
	if p.command.SysProcAttr == nil {
		p.command.SysProcAttr = endWithParent()
	}
	if err := p.command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	ps.mu.Lock()
	ps.started = append(ps.started, p)
	ps.mu.Unlock()
	go func() {
		p.err = p.command.Wait()
		close(p.done)
		ps.mu.Lock()
		defer ps.mu.Unlock()
		if !p.stopping {
			ps.fail(fmt.Errorf("%s ended by itself (%v): see %s", p.name, p.command.ProcessState, p.log))
		}
	}()
	return nil
}

// find is the last process of a name that was started.
func (ps *processes) find(name string) *process {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range slices.Backward(ps.started) {
		if p.name == name {
			return p
		}
	}
	panic("nobody has started " + name)
}

func (ps *processes) has(name string) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return slices.ContainsFunc(ps.started, func(p *process) bool { return p.name == name })
}

// signal sends a signal that does not end a process.
func (ps *processes) signal(name string, signal syscall.Signal) error {
	return ps.find(name).command.Process.Signal(signal)
}

// end ends one process, which is no reason to end the demo.
func (ps *processes) end(name string, signal syscall.Signal) error {
	p := ps.find(name)
	ps.mu.Lock()
	p.stopping = true
	ps.mu.Unlock()
	if err := p.command.Process.Signal(signal); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	err := p.wait()
	if signal == syscall.SIGKILL {
		return nil
	}
	return err
}

// again starts a process that has ended as it was started before.
func (ps *processes) again(name string) error {
	last := ps.find(name)
	command := exec.Command(last.command.Path, last.command.Args[1:]...)
	command.Env = last.command.Env
	return ps.run(&process{name: name, log: last.log, command: command})
}

// stop ends all in reverse order of their start, the later ones together, the first one last. Only what had to be killed
// or what ended badly is an error.
func (ps *processes) stop() error {
	ps.mu.Lock()
	all := slices.DeleteFunc(slices.Clone(ps.started), (*process).ended)
	for _, p := range all {
		p.stopping = true
	}
	ps.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	var errs []error
	for _, group := range [][]*process{all[1:], all[:1]} {
		for _, p := range group {
			_ = p.command.Process.Signal(syscall.SIGTERM)
		}
		for _, p := range group {
			errs = append(errs, p.wait())
		}
	}
	return errors.Join(errs...)
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) wait() error {
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		_ = p.command.Process.Kill()
		<-p.done
		return fmt.Errorf("%s had to be killed: it did not end within 15 s of SIGTERM", p.name)
	}
	state, ok := p.command.ProcessState.Sys().(syscall.WaitStatus)
	if p.err == nil || ok && state.Signaled() && state.Signal() == syscall.SIGTERM {
		return nil
	}
	return fmt.Errorf("%s: %w", p.name, p.err)
}
