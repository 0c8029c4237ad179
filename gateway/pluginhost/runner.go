package pluginhost

import (
	"bufio"
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

// copyBytes is how much of a plugin's output is read at once.
const copyBytes = 32 << 10

var _ runner.Runner = (*processRunner)(nil)

// processRunner is one operating system process under go-plugin. It says at once when the process ends, and why.
type processRunner struct {
	cmd       *exec.Cmd
	fork      func(start func() error) error
	out       *output // takes what the process prints after its handshake
	memory    *memory
	handshake *handshake

	stdout, stderr *os.File

	mu     sync.Mutex
	killed bool  // by us, so that the way it ended says nothing
	why    error // we killed it, if that was its fault

	exited chan struct{} // closed when the process is gone and its last words are in out
	err    error         // what Wait says; read after exited
}

func newProcessRunner(cmd *exec.Cmd, fork func(func() error) error, out *output, memory *memory) *processRunner {
	return &processRunner{cmd: cmd, fork: fork, out: out, memory: memory, handshake: newHandshake(), exited: make(chan struct{})}
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
	expend(r.cmd.Process.Pid)
	go r.reap()
	return nil
}

// reap waits for the end of the process.
func (r *processRunner) reap() {
	defer close(r.exited)
	ended := make(chan struct{})
	var watching, reading sync.WaitGroup
	watching.Go(func() { r.memory.watch(r.cmd.Process.Pid, ended, r.end) })
	reading.Go(func() { r.copy(r.stderr) })
	reading.Go(func() {
		stdout := bufio.NewReaderSize(r.stdout, handshakeBytes)
		r.handshake.take(stdout)
		r.copy(stdout)
	})
	r.err = r.cmd.Wait()
	endGroup(r.cmd.Process.Pid)
	close(ended)
	watching.Wait()
	deadline := time.Now().Add(drain)
	_ = r.stdout.SetReadDeadline(deadline)
	_ = r.stderr.SetReadDeadline(deadline)
	reading.Wait()
	_ = r.stdout.Close()
	_ = r.stderr.Close()
	r.out.journal.tell()
}

// copy logs a stream to its end. io.Copy would have a bufio.Reader hand on all it has at once, and a file do without our pace.
func (r *processRunner) copy(stream io.Reader) {
	lines := r.out.stream()
	defer lines.flush()
	for chunk := make([]byte, copyBytes); ; {
		n, err := stream.Read(chunk)
		_, _ = lines.Write(chunk[:n])
		if err != nil {
			return
		}
	}
}

// end kills the process for what it did.
func (r *processRunner) end(why error) {
	r.mu.Lock()
	if !r.killed {
		r.why = why
	}
	r.mu.Unlock()
	_ = r.Kill(context.Background())
}

// fault is why we killed the process, if that was its fault.
func (r *processRunner) fault() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.why
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

// Wait implements runner.Runner.
func (r *processRunner) Wait(context.Context) error {
	<-r.exited
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

// The rest of runner.Runner. Both streams are read here: go-plugin sees the handshake and nothing else.

func (r *processRunner) Stdout() io.ReadCloser { return io.NopCloser(r.handshake) }

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
