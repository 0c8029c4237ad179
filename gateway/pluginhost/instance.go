package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

const (
	healthDeadline = time.Second
	stopDeadline   = 5 * time.Second
	exitDeadline   = 3 * time.Second // for the process to end once it is told to; go-plugin itself gives it 2 s
)

// launch is what it takes to start a plugin, the same at each restart.
type launch struct {
	name, kind, path, sha256 string
	config                   []byte
	timeout                  time.Duration
	forker                   *forker
}

// instance is one run of a plugin's process, configured when start returned it.
type instance struct {
	client *goplugin.Client
	run    *processRunner
	out    *output
	conn   *grpc.ClientConn
	plugin pluginv1.PluginClient
	info   *pluginv1.InfoResponse
	step   string // what start is doing
}

// start runs the binary, configures it to serve at listen and asks who it is. Nothing is left behind on error.
func (l *launch) start(ctx context.Context, listen string, out *output) (*instance, error) {
	if err := checkBinary(l.path, l.sha256); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	inst := l.prepare(out)
	// go-plugin waits without a context: the end of the process is what ends its waiting.
	stopWatching := context.AfterFunc(ctx, func() { _ = inst.run.Kill(ctx) })
	defer stopWatching()
	err := inst.connect()
	if err == nil {
		err = inst.open(ctx, l, listen)
	}
	if err != nil {
		err = inst.explain(ctx, l, err)
		inst.kill()
		return nil, err
	}
	return inst, nil
}

// prepare makes the process that connect starts.
func (l *launch) prepare(out *output) *instance {
	cmd := exec.Command(l.path)
	cmd.ExtraFiles = []*os.File{l.forker.read} // becomes descriptor 3
	cmd.SysProcAttr = attributes()
	inst := &instance{run: newProcessRunner(cmd, l.forker.do, out.stream()), out: out}
	inst.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		Plugins:          sdk.ClientPlugins(),
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     l.timeout,
		Logger:           hclog.NewNullLogger(), // what matters comes back as an error
		SyncStdout:       out.stream(),
		SyncStderr:       out.stream(),
		GRPCDialOptions: append(sdk.DialOptions(), grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(sdk.MaxMessageBytes), grpc.MaxCallSendMsgSize(sdk.MaxMessageBytes))),
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, _ string) (runner.Runner, error) {
			cmd.Env = append(append(environment(), sdk.HostPipeEnv+"=3"), spec.Env...)
			return inst.run, nil
		},
	})
	return inst
}

// connect starts the process and dials it.
func (i *instance) connect() error {
	i.step = "its handshake"
	rpc, err := i.client.Client()
	if err != nil && i.run.pid() == 0 {
		return err
	}
	if err != nil {
		return fmt.Errorf("no handshake: %s; a plugin serves first and prints nothing to stdout before", strings.Join(strings.Fields(err.Error()), " "))
	}
	dispensed, err := rpc.Dispense(sdk.PluginKey)
	if err != nil {
		return err
	}
	i.conn = dispensed.(*grpc.ClientConn)
	i.plugin = pluginv1.NewPluginClient(i.conn)
	return nil
}

// open configures the plugin and asks who it is. How it is does not matter yet: one with a full disk still answers queries.
func (i *instance) open(ctx context.Context, l *launch, listen string) error {
	i.step = "Configure"
	_, err := i.plugin.Configure(ctx, &pluginv1.ConfigureRequest{Name: l.name, Config: l.config, Listen: listen})
	if status.Code(err) == codes.InvalidArgument {
		return fmt.Errorf("config: %w", err)
	}
	if err != nil {
		return err
	}
	i.step = "Info"
	if i.info, err = i.plugin.Info(ctx, &pluginv1.InfoRequest{}); err != nil {
		return err
	}
	if i.info.GetKind() != l.kind {
		return fmt.Errorf("kind: %s says that it is a %q plugin, not %q", l.path, i.info.GetKind(), l.kind)
	}
	return nil
}

// laterError is a plugin's own word that it can't start just now.
type laterError struct{ error }

// explain makes one sentence of what went wrong at a start: a deadline, the end of the process or what the plugin answered.
func (i *instance) explain(ctx context.Context, l *launch, err error) error {
	broken := status.Code(err) == codes.Unavailable || status.Code(err) == codes.Canceled
	if i.run.pid() != 0 && (i.conn == nil || broken) {
		select { // a broken pipe is seen before the end of the process that broke it, and a call's deadline at the other end first
		case <-i.run.exited:
		case <-ctx.Done():
		case <-time.After(drain):
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("did not finish %s within plugins.start_timeout (%s)", i.step, l.timeout)
	}
	if ctx.Err() != nil || i.run.pid() == 0 {
		return plain(err)
	}
	if ended := i.ended(); ended != nil {
		return ended
	}
	if broken {
		return laterError{plain(err)}
	}
	return plain(err)
}

// ended tells that the process ended by itself, and its last words unless it was killed; nil while it runs.
func (i *instance) ended() error {
	how, signalled := i.run.ended()
	words := i.out.lastWords()
	switch {
	case how == "":
		return nil
	case signalled || words == "":
		return errors.New("exited: " + how)
	}
	return errors.New("exited: " + how + ": " + words)
}

// health is nil when the plugin says that it can work. answered is false when it said nothing within the deadline.
func (i *instance) health(ctx context.Context) (answered bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, healthDeadline)
	defer cancel()
	_, err = i.plugin.Health(ctx, &pluginv1.HealthRequest{})
	if err == nil {
		return true, nil
	}
	return ctx.Err() == nil && i.conn.GetState() == connectivity.Ready, plain(err)
}

// stop lets the plugin flush and close, then ends its process.
func (i *instance) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopDeadline)
	defer cancel()
	_, err := i.plugin.Stop(ctx, &pluginv1.StopRequest{})
	// go-plugin's own shutdown call has no deadline.
	timer := time.AfterFunc(exitDeadline, func() { _ = i.run.Kill(context.Background()) })
	defer timer.Stop()
	i.client.Kill()
	if err != nil && i.ended() == nil {
		return fmt.Errorf("stop: %w", plain(err))
	}
	return nil
}

// kill ends the process without asking it.
func (i *instance) kill() {
	_ = i.run.Kill(context.Background())
	i.client.Kill()
}

// plain strips gRPC's decoration from an error: people read it.
func plain(err error) error {
	before, rest, _ := strings.Cut(err.Error(), "rpc error: code = ")
	if _, message, found := strings.Cut(rest, " desc = "); found {
		return errors.New(before + message)
	}
	return err
}
