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
	command  *exec.Cmd
	done     chan struct{}
	err      error // how it ended, once done
	stopping bool
}

// start runs a program with its output in the file log.
func (ps *processes) start(name, log string, env []string, program string, args ...string) error {
	out, err := os.Create(log)
	if err != nil {
		return err
	}
	defer out.Close()
	p := &process{name: name, command: exec.Command(program, args...), done: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = out, out
	p.command.Env = append(os.Environ(), env...)
	p.command.SysProcAttr = endWithParent()
	if err := p.command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
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
			ps.fail(fmt.Errorf("%s ended by itself (%v): see %s", name, p.command.ProcessState, log))
		}
	}()
	return nil
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
