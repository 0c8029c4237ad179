package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

const (
	stopDeadline = 5 * time.Second
	exitDeadline = 3 * time.Second // for the process to end once it is told to; go-plugin itself gives it 2 s
)

// launch starts a plugin as a process of its own, in the same way at each restart.
type launch struct {
	name, kind, path, sha256 string
	config                   []byte
	secrets                  *secrets
	timeout                  time.Duration
	memory                   *memory
	sockets                  *sockets
	forker                   *forker
}

// launched is a plugin's process, from before it starts.
type launched struct {
	client *goplugin.Client
	run    *processRunner
	out    *output
	step   string // what start is doing
}

// start runs the binary, configures it to serve at listen and asks who it is. Nothing is left behind on error.
func (l *launch) start(ctx context.Context, listen string, out *output) (*instance, error) {
	if err := checkBinary(l.path, l.sha256); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	p, err := l.prepare(out)
	if err != nil {
		return nil, err
	}
	// go-plugin waits without a context: the end of the process is what ends its waiting.
	stopWatching := context.AfterFunc(ctx, func() { _ = p.run.Kill(ctx) })
	defer stopWatching()
	conn, err := p.connect()
	if err != nil {
		err = p.explain(ctx, l, err, true)
		p.kill()
		return nil, err
	}
	inst := &instance{conn: conn, plugin: pluginv1.NewPluginClient(conn), exited: p.run.exited, ended: p.ended, pid: p.run.pid(), kill: p.kill}
	inst.stop = func() error { return p.stop(inst.plugin) }
	p.step = "Configure"
	if err := inst.open(ctx, &pluginv1.ConfigureRequest{Name: l.name, Config: l.config, Listen: listen}, l.kind, l.path); err != nil {
		err = p.explain(ctx, l, err, false)
		p.kill()
		return nil, err
	}
	return inst, nil
}

// prepare makes the process that connect starts.
func (l *launch) prepare(out *output) (*launched, error) {
	tlsConfig, clientCert, err := sdk.ClientTLS()
	if err != nil {
		return nil, err
	}
	directory, err := l.sockets.directory()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(l.path)
	cmd.ExtraFiles = []*os.File{l.forker.read} // becomes descriptor 3
	cmd.SysProcAttr = attributes()
	p := &launched{run: newProcessRunner(cmd, l.forker.do, out, l.memory), out: out}
	p.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		Plugins:          sdk.ClientPlugins(),
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		TLSConfig:        tlsConfig,
		SkipHostEnv:      true,
		StartTimeout:     l.timeout,
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: directory},
		Logger:           hclog.NewNullLogger(), // what matters comes back as an error
		SyncStdout:       out.stream(),
		SyncStderr:       out.stream(),
		GRPCDialOptions: append(append(sdk.DialOptions(), l.secrets.dialOptions()...), grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(sdk.MaxMessageBytes), grpc.MaxCallSendMsgSize(sdk.MaxMessageBytes))),
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, _ string) (runner.Runner, error) {
			cmd.Env = slices.Concat(sdk.Environment(), l.memory.environment(), []string{sdk.HostPipeEnv + "=3", clientCert}, spec.Env)
			return p.run, nil
		},
	})
	return p, nil
}

// connect starts the process and dials it.
func (p *launched) connect() (*grpc.ClientConn, error) {
	p.step = "its handshake"
	rpc, err := p.client.Client()
	if err != nil && p.run.pid() == 0 {
		return nil, err
	}
	if wrong := p.run.handshake.wrong(); wrong != nil {
		return nil, errors.New(p.out.journal.secrets.clean(wrong.Error()))
	}
	if err != nil {
		return nil, fmt.Errorf("no handshake: %s", p.out.journal.secrets.clean(strings.Join(strings.Fields(err.Error()), " ")))
	}
	dispensed, err := rpc.Dispense(sdk.PluginKey)
	if err != nil {
		return nil, err
	}
	return dispensed.(*grpc.ClientConn), nil
}

// laterError is a plugin's own word that it can't start just now.
type laterError struct{ error }

// explain makes one sentence of what went wrong at a start: a deadline, the end of the process or what the plugin answered.
func (p *launched) explain(ctx context.Context, l *launch, err error, connecting bool) error {
	code := status.Code(err)
	broken := code == codes.Unavailable || code == codes.Canceled
	if p.run.pid() != 0 && (connecting || broken || code == codes.DeadlineExceeded) {
		select { // a broken pipe is seen before the end of the process that broke it, and a call's deadline at the other end first
		case <-p.run.exited:
		case <-ctx.Done():
		case <-time.After(drain):
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("did not finish %s within plugins.start_timeout (%s)", p.step, l.timeout)
	}
	if ctx.Err() != nil || p.run.pid() == 0 {
		return plain(err)
	}
	if ended := p.ended(); ended != nil {
		return ended
	}
	if broken {
		return laterError{plain(err)}
	}
	return plain(err)
}

// ended tells that the process ended by itself, and its last words unless it was killed, or why we killed it; nil while it runs.
func (p *launched) ended() error {
	if fault := p.run.fault(); fault != nil {
		return fault
	}
	how, signalled := p.run.ended()
	words := p.out.lastWords()
	switch {
	case how == "":
		return nil
	case signalled || words == "":
		return errors.New("exited: " + how)
	}
	return errors.New("exited: " + how + ": " + words)
}

// stop lets the plugin flush and close, then ends its process.
func (p *launched) stop(plugin pluginv1.PluginClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopDeadline)
	defer cancel()
	_, err := plugin.Stop(ctx, &pluginv1.StopRequest{})
	// go-plugin's own shutdown call has no deadline.
	timer := time.AfterFunc(exitDeadline, func() { _ = p.run.Kill(context.Background()) })
	defer timer.Stop()
	p.client.Kill()
	if err != nil && p.ended() == nil {
		return fmt.Errorf("stop: %w", plain(err))
	}
	return nil
}

// kill ends the process without asking it.
func (p *launched) kill() {
	_ = p.run.Kill(context.Background())
	p.client.Kill()
}
