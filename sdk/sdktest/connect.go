package sdktest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// stopFunc is what the Register funcs of sdk return.
type stopFunc = func(context.Context) error

// serve is a plugin of this process behind a real gRPC connection on loopback.
func serve(register func(*grpc.Server) stopFunc) (*plugin, error) {
	server := grpc.NewServer(sdk.ServerOptions()...)
	stop := register(server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	conn, err := dial(listener.Addr().String(), nil)
	if err != nil {
		server.Stop()
		return nil, err
	}
	return &plugin{conn: conn, close: func() error {
		err := conn.Close()
		server.Stop()
		if served := <-done; !errors.Is(served, grpc.ErrServerStopped) {
			err = errors.Join(err, served)
		}
		return errors.Join(err, inTime(stop))
	}}, nil
}

// inTime does not wait for a plugin whose calls hang.
func inTime(stop stopFunc) error {
	done := make(chan error, 1)
	go func() { done <- stop(context.Background()) }()
	select {
	case err := <-done:
		return err
	case <-time.After(stopWithin):
		return fmt.Errorf("a call, or Stop, is still under way %v after the connection has ended", stopWithin)
	}
}

// dial is a connection of its own: a nil config is plaintext.
func dial(address string, config *tls.Config) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if config != nil {
		transport = credentials.NewTLS(config)
	}
	return grpc.NewClient(address, append(sdk.DialOptions(), grpc.WithNoProxy(), grpc.WithTransportCredentials(transport))...)
}

// useAddress has the session ask the server at address, if it answers.
func (s *session) useAddress(ctx context.Context, address string, config *tls.Config) error {
	s.address = true
	s.connect = func(context.Context) (*plugin, error) {
		conn, err := dial(address, config)
		if err != nil {
			return nil, err
		}
		return &plugin{conn: conn, close: conn.Close}, nil
	}
	return s.fresh(ctx, func(p *plugin) error {
		err := within(ctx, answerWithin, func(ctx context.Context) error {
			_, err := pluginv1.NewPluginClient(p.conn).Info(ctx, new(pluginv1.InfoRequest))
			return err
		})
		s.taken = err == nil
		if err != nil && status.Code(err) != codes.FailedPrecondition {
			return fmt.Errorf("ask %s: %s", address, told(err))
		}
		return nil
	})
}
