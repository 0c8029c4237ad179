package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

const healthDeadline = time.Second

// instance is a plugin that can be called: one run of its process or one connection to its server, configured.
type instance struct {
	conn     *grpc.ClientConn
	plugin   pluginv1.PluginClient
	info     *pluginv1.InfoResponse // set by open
	protocol uint32                 // likewise: the version of the wire
	pid      int                    // 0 when the process is not ours

	exited <-chan struct{} // closed when the process or the connection has ended
	ended  func() error    // why it did by itself; nil while it runs, or when we killed it
	stop   func() error    // ends it in good order
	kill   func()          // ends it without asking; frees what belongs to it, so it is called of one that has ended, too
	lose   func(error)     // ends a connection that is of no use any more; nil for a process
}

// open configures the plugin and asks who it is, which must be a plugin of this kind; what is how errors call it. How it is does
// not matter yet: one with a full disk still answers queries.
func (i *instance) open(ctx context.Context, configuration *pluginv1.ConfigureRequest, kind, what string) error {
	configuration.ProtocolVersion = sdk.ProtocolVersion
	configured, err := i.plugin.Configure(ctx, configuration)
	if status.Code(err) == codes.InvalidArgument {
		return fmt.Errorf("config: %w", err)
	}
	if err != nil {
		return err
	}
	i.protocol = max(configured.GetProtocolVersion(), 1) // which those say who do not know the field
	if err := checkProtocol(int(i.protocol)); err != nil {
		return err
	}
	if i.info, err = i.plugin.Info(ctx, &pluginv1.InfoRequest{}); err != nil {
		return err
	}
	if i.info.GetKind() != kind {
		return fmt.Errorf("kind: %s says that it is a %q plugin, not %q", what, i.info.GetKind(), kind)
	}
	return nil
}

// health is nil when the plugin says that it can work. answered is false when it said nothing within the deadline.
func (i *instance) health(ctx context.Context) (answered bool, err error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, healthDeadline)
	defer cancel()
	_, err = i.plugin.Health(ctx, &pluginv1.HealthRequest{})
	if err == nil {
		return true, nil
	}
	if i.lose != nil && status.Code(err) == codes.FailedPrecondition {
		i.lose(fmt.Errorf("the server has lost its configuration: %w", plain(err)))
	}
	// At the deadline the plugin's gRPC server resets the call by itself, which may be seen here a moment before that.
	reset := status.Code(err) == codes.Canceled || status.Code(err) == codes.DeadlineExceeded
	late := ctx.Err() != nil || reset && time.Since(began) > healthDeadline*9/10
	return !late && i.conn.GetState() == connectivity.Ready, plain(err)
}

// forgot tells whether the plugin answers codes.FailedPrecondition because its server was started anew behind our connection.
func (i *instance) forgot(ctx context.Context) bool {
	if i.lose == nil {
		return false
	}
	_, _ = i.health(ctx)
	select {
	case <-i.exited:
		return true
	default:
		return false
	}
}

// plain strips gRPC's decoration from an error: people read it.
func plain(err error) error {
	before, rest, _ := strings.Cut(err.Error(), "rpc error: code = ")
	if _, message, found := strings.Cut(rest, " desc = "); found {
		return errors.New(before + message)
	}
	return err
}
