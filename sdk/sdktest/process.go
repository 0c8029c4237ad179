package sdktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/lockkeeper/lockkeeper/sdk"
)

const startWithin = 30 * time.Second // plugins.start_timeout

// process is a plugin in a process of its own.
type process struct {
	command *exec.Cmd
	client  *goplugin.Client
	hangUp  func() error // closes what the plugin lives while it is open
	printed *tail
}

// useBinary has the session start processes of the binary. remove takes away what they left in their temporary directory.
func (s *session) useBinary(binary string, output io.Writer) (remove func() error, err error) {
	if s.binary, err = filepath.Abs(binary); err != nil {
		return nil, err
	}
	if _, err := exec.LookPath(s.binary); err != nil {
		return nil, fmt.Errorf("run the plugin: %w", err)
	}
	if s.listen, err = freePort(); err != nil {
		return nil, err
	}
	directory, err := os.MkdirTemp("", "sdktest-")
	if err != nil {
		return nil, err
	}
	if output == nil {
		output = io.Discard
	}
	s.connect = func(context.Context) (*plugin, error) { return launch(s.binary, directory, output) }
	return func() error { return os.RemoveAll(directory) }, nil
}

// launch starts the binary as the gateway does.
func launch(binary, directory string, output io.Writer) (*plugin, error) {
	life, host, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer life.Close()
	tlsConfig, clientCert, err := sdk.ClientTLS()
	if err != nil {
		return nil, errors.Join(err, host.Close())
	}
	p := &process{command: exec.Command(binary), hangUp: sync.OnceValue(host.Close), printed: &tail{next: output}}
	p.command.ExtraFiles = []*os.File{life}
	p.command.Env = append(sdk.Environment(), "TMPDIR="+directory, sdk.HostPipeEnv+"=3", clientCert)
	p.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		Plugins:          sdk.ClientPlugins(),
		Cmd:              p.command,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		TLSConfig:        tlsConfig,
		SkipHostEnv:      true,
		StartTimeout:     startWithin,
		GRPCDialOptions:  sdk.DialOptions(),
		Stderr:           p.printed,
		Logger:           hclog.NewNullLogger(),
	})
	conn, err := p.dial()
	if err != nil {
		ended := p.end() // its last words are there then
		return nil, errors.Join(p.explain(err), ended)
	}
	return &plugin{conn: conn, process: p, close: p.end}, nil
}

func (p *process) dial() (*grpc.ClientConn, error) {
	protocol, err := p.client.Client()
	if err != nil {
		return nil, err
	}
	conn, err := protocol.Dispense(sdk.PluginKey)
	if err != nil {
		return nil, err
	}
	return conn.(*grpc.ClientConn), nil
}

// explain tells the author of a plugin what its handshake lacks.
func (p *process) explain(err error) error {
	_, line, unknown := strings.Cut(err.Error(), "Unrecognized remote plugin message: ")
	line, _, _ = strings.Cut(line, "\n")
	switch {
	case unknown && line != "":
		return fmt.Errorf("it printed %q to standard output, where nothing but the handshake line may come first: print to standard error", line)
	case unknown || strings.Contains(err.Error(), "exited before we could connect"):
		return fmt.Errorf("it ended before its handshake; its last words: %q", p.printed)
	case strings.Contains(err.Error(), "timeout while waiting"):
		return fmt.Errorf("no handshake line within %v; its last words: %q", startWithin, p.printed)
	}
	return fmt.Errorf("handshake: %s", strings.Join(strings.Fields(err.Error()), " "))
}

// end ends the process and frees what is held for it.
func (p *process) end() error {
	p.client.Kill()
	return p.hangUp()
}

func (p *process) kill() error      { return p.command.Process.Kill() }
func (p *process) terminate() error { return p.command.Process.Signal(syscall.SIGTERM) }

// wait waits for the process to end by itself.
func (p *process) wait(ctx context.Context) error {
	deadline := time.NewTimer(endWithin)
	defer deadline.Stop()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !p.client.Exited() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline.C:
			return fmt.Errorf("its process was still there %v later", endWithin)
		case <-poll.C:
		}
	}
	return nil
}

// processChecks are what is asked of a program, once its plugin has stopped.
func processChecks() []check {
	return []check{
		{name: "killed in mid-call", needs: processes, run: checkKill},
		{name: "ends on SIGTERM", needs: processes, run: checkEnds((*process).terminate)},
		{name: "ends with its host", needs: processes, run: checkEnds(func(p *process) error { return p.hangUp() })},
		{name: "run by hand", needs: processes, run: checkByHand},
	}
}

// checkEnds has the configured plugin end by something else than a call.
func checkEnds(end func(*process) error) func(context.Context, *session) error {
	return func(ctx context.Context, s *session) error {
		return s.configured(ctx, func(p *plugin) error {
			if err := end(p.process); err != nil {
				return err
			}
			return p.process.wait(ctx)
		})
	}
}

// checkByHand runs the binary as a person might.
func checkByHand(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(ctx, s.binary)
	command.Stdout, command.Stderr = &stdout, &stderr
	command.Env = sdk.Environment()
	command.WaitDelay = time.Second
	err := command.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("without %s in its environment it still ran after %v, want a line on standard error and exit code 1", sdk.Handshake().MagicCookieKey, endWithin)
	case !errors.As(err, &exit) || exit.ExitCode() != 1:
		return fmt.Errorf("run by hand: %v, want exit code 1; it printed %q", err, stderr.String())
	case stdout.Len() > 0:
		return fmt.Errorf("run by hand it printed %q to standard output, want that on standard error", stdout.String())
	case strings.Count(strings.TrimSpace(stderr.String()), "\n") > 0 || stderr.Len() == 0:
		return fmt.Errorf("run by hand it printed %q to standard error, want one line that says what it is", stderr.String())
	}
	return nil
}

// tail passes on what is printed and keeps the end of it.
type tail struct {
	next io.Writer
	mu   sync.Mutex
	kept []byte
}

func (t *tail) Write(text []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, text...)
	t.kept = t.kept[max(0, len(t.kept)-500):]
	return t.next.Write(text)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.kept))
}

// freePort is an address that the gateway could let the plugin listen at.
func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
