package pluginhost

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin/runner"
)

// drain is how long the output of a process that has ended may still be read: something that it started
// itself may hold its end of the pipes open for ever.
const drain = time.Second

var _ runner.Runner = (*processRunner)(nil)

// processRunner is one operating system process under go-plugin. It says at once when the process ends, and why.
type processRunner struct {
	cmd  *exec.Cmd
	fork func(start func() error) error
	log  *lines // takes what the process writes to stderr

	stdout, stderr *os.File

	mu     sync.Mutex
	killed bool // by us, so that the way it ended says nothing

	exited chan struct{} // closed when the process is gone and its last words are in log
	err    error         // what Wait says; read after exited
}

func newProcessRunner(cmd *exec.Cmd, fork func(func() error) error, log *lines) *processRunner {
	return &processRunner{cmd: cmd, fork: fork, log: log, exited: make(chan struct{})}
}

// Start implements runner.Runner.
func (r *processRunner) Start(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.killed {
		return context.Canceled
	}
	var out, errs *os.File
	var err error
	if r.stdout, out, err = os.Pipe(); err != nil {
		return err
	}
	defer out.Close()
	if r.stderr, errs, err = os.Pipe(); err != nil {
		return errors.Join(err, r.stdout.Close())
	}
	defer errs.Close()
	r.cmd.Stdout, r.cmd.Stderr = out, errs
	if err := r.fork(r.cmd.Start); err != nil {
		return errors.Join(err, r.stdout.Close(), r.stderr.Close())
	}
	go r.reap()
	return nil
}

// reap waits for the end of the process.
func (r *processRunner) reap() {
	defer close(r.exited)
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(r.log, r.stderr)
		r.log.flush()
	}()
	r.err = r.cmd.Wait()
	deadline := time.Now().Add(drain)
	_ = r.stdout.SetReadDeadline(deadline)
	_ = r.stderr.SetReadDeadline(deadline)
	<-copied
	_ = r.stderr.Close()
}

// ended tells how the process ended by itself, such as "exit status 1"; empty while it runs, or when we killed it.
// A process that was on its way out when we did has its own exit code all the same.
func (r *processRunner) ended() (how string, signalled bool) {
	select {
	case <-r.exited:
	default:
		return "", false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	signalled = r.cmd.ProcessState.ExitCode() < 0
	if signalled && r.killed {
		return "", false
	}
	return r.cmd.ProcessState.String(), signalled
}

// Wait implements runner.Runner. go-plugin calls it when it has read stdout to the end.
func (r *processRunner) Wait(context.Context) error {
	<-r.exited
	_ = r.stdout.Close()
	return r.err
}

// Kill implements runner.Runner: SIGKILL. A runner that has not started yet never will.
func (r *processRunner) Kill(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.killed = true
	if r.cmd.Process == nil {
		return nil
	}
	if err := r.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// pid is 0 before the start.
func (r *processRunner) pid() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd.Process == nil {
		return 0
	}
	return r.cmd.Process.Pid
}

// The rest of runner.Runner. stderr is read here, so go-plugin sees none.

func (r *processRunner) Stdout() io.ReadCloser { return r.stdout }

func (r *processRunner) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

func (r *processRunner) Name() string { return r.cmd.Path }

func (r *processRunner) ID() string { return strconv.Itoa(r.pid()) }

func (r *processRunner) Diagnose(context.Context) string { return "" }

func (r *processRunner) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

func (r *processRunner) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
