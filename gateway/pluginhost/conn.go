package pluginhost

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// callDeadline is for calls whose caller sets none.
const callDeadline = 30 * time.Second

// conn calls whatever process or connection a plugin has at the moment. While there is none, or when it dies under a call,
// the call fails with codes.Unavailable: try it again later.
type conn struct {
	process *process
}

var _ grpc.ClientConnInterface = conn{}

// Invoke implements grpc.ClientConnInterface.
func (c conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	began := time.Now()
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callDeadline)
		defer cancel()
	}
	err := c.invoke(ctx, method, args, reply, opts)
	c.count(method, err, began)
	return err
}

func (c conn) invoke(ctx context.Context, method string, args, reply any, opts []grpc.CallOption) error {
	inst, err := c.process.current()
	if err != nil {
		return status.Error(codes.Unavailable, err.Error())
	}
	return c.died(ctx, inst, inst.conn.Invoke(ctx, method, args, reply, opts...))
}

// NewStream implements grpc.ClientConnInterface. Its duration is that of the opening.
func (c conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	began := time.Now()
	stream, err := c.newStream(ctx, desc, method, opts)
	c.count(method, err, began)
	return stream, err
}

func (c conn) newStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts []grpc.CallOption) (grpc.ClientStream, error) {
	inst, err := c.process.current()
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	stream, err := inst.conn.NewStream(ctx, desc, method, opts...)
	return stream, c.died(ctx, inst, err)
}

// died makes what the end of the plugin does to a call what it is: an error that a later try does not meet. That is the
// cancellation of a call that its caller did not cancel, and a refusal by a server that has lost its configuration.
func (c conn) died(ctx context.Context, inst *instance, err error) error {
	switch code := status.Code(err); {
	case code == codes.Canceled && ctx.Err() == nil:
		return status.Errorf(codes.Unavailable, "plugin %s ended during the call: %s", c.process.name, status.Convert(err).Message())
	case code == codes.FailedPrecondition && inst.forgot(ctx):
		return status.Errorf(codes.Unavailable, "plugin %s has lost its configuration, and gets it again: %s", c.process.name, status.Convert(err).Message())
	}
	return err
}

func (c conn) count(method string, err error, began time.Time) {
	c.process.metrics.calls.add(call{c.process.name, method, status.Code(err)}, time.Since(began))
}
