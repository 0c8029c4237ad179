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

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

const healthDeadline = time.Second

// instance is a plugin that can be called: one run of its process, configured.
type instance struct {
	conn   *grpc.ClientConn
	plugin pluginv1.PluginClient
	info   *pluginv1.InfoResponse // set by open
	pid    int

	exited <-chan struct{} // closed when the process has ended
	ended  func() error    // why it did by itself; nil while it runs, or when we killed it
	stop   func() error    // ends it in good order
	kill   func()          // ends it without asking; frees what belongs to it, so it is called of one that has ended, too
}

// open configures the plugin and asks who it is, which must be a plugin of this kind; what is how errors call it. How it is does
// not matter yet: one with a full disk still answers queries.
func (i *instance) open(ctx context.Context, configuration *pluginv1.ConfigureRequest, kind, what string) error {
	_, err := i.plugin.Configure(ctx, configuration)
	if status.Code(err) == codes.InvalidArgument {
		return fmt.Errorf("config: %w", err)
	}
	if err != nil {
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
	ctx, cancel := context.WithTimeout(ctx, healthDeadline)
	defer cancel()
	_, err = i.plugin.Health(ctx, &pluginv1.HealthRequest{})
	if err == nil {
		return true, nil
	}
	return ctx.Err() == nil && i.conn.GetState() == connectivity.Ready, plain(err)
}

// plain strips gRPC's decoration from an error: people read it.
func plain(err error) error {
	before, rest, _ := strings.Cut(err.Error(), "rpc error: code = ")
	if _, message, found := strings.Cut(rest, " desc = "); found {
		return errors.New(before + message)
	}
	return err
}
