package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/config/configtls"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

const (
	connectDeadline = 10 * time.Second // for a connection on which the server speaks HTTP/2
	connectInterval = time.Second      // between the beginnings of two attempts to get one
)

// remote connects to a plugin that is a server at an address. The server is not ours: others may use it as well, so it is
// never told to stop.
type remote struct {
	name, kind, address string
	config              []byte
	secrets             *secrets
	tls                 configtls.ClientConfig
	timeout             time.Duration
}

func newRemote(name string, cfg Process, config []byte, secrets *secrets, timeout time.Duration) *remote {
	r := &remote{name: name, kind: cfg.Kind, address: cfg.Address, config: config, secrets: secrets, timeout: timeout}
	if cfg.TLS != nil {
		r.tls = *cfg.TLS
	}
	return r
}

// start connects, configures the server and asks who it is. Whatever may be cured over there is an error for the moment only.
func (r *remote) start(ctx context.Context, _ string, _ *output) (*instance, error) {
	transport, err := r.transport(ctx)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	conn, err := r.connect(ctx, transport)
	if err != nil {
		return nil, laterError{fmt.Errorf("%s: %w", r.address, err)}
	}
	inst := connected(conn)
	if err := inst.open(ctx, &pluginv1.ConfigureRequest{Name: r.name, Config: r.config}, r.kind, r.address); err != nil {
		inst.kill()
		return nil, r.explain(ctx, err)
	}
	return inst, nil
}

// transport reads the files that the configuration names, so that each connection has what is in them now.
func (r *remote) transport(ctx context.Context) (credentials.TransportCredentials, error) {
	settings, err := r.tls.LoadTLSConfig(ctx)
	if err != nil {
		return nil, err
	}
	if settings == nil {
		return insecure.NewCredentials(), nil
	}
	return credentials.NewTLS(settings), nil
}

// connect gives a connection on which the server has spoken. What was sent while the network was away is answered late
// or never, so another attempt begins each second; the first that comes to an end decides.
func (r *remote) connect(ctx context.Context, transport credentials.TransportCredentials) (*grpc.ClientConn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectDeadline)
	defer cancel()
	deadline, _ := ctx.Deadline()
	type result struct {
		conn *grpc.ClientConn
		err  error
	}
	results := make(chan result)
	var accepted atomic.Bool
	begin := func() {
		conn, err := r.dial(ctx, transport, &accepted)
		results <- result{conn, err}
	}
	tick := time.NewTicker(connectInterval)
	defer tick.Stop()
	go begin()
	for others := 0; ; others++ {
		select {
		case <-tick.C:
			go begin()
		case first := <-results:
			if first.err != nil && !time.Now().Before(deadline) { // a dialer is over before its context
				first.err = silence(accepted.Load())
			}
			cancel()
			for range others {
				if late := <-results; late.err == nil {
					_ = late.conn.Close()
				}
			}
			return first.conn, first.err
		}
	}
}

// silence is what a deadline makes of the state of a connection.
func silence(accepted bool) error {
	if accepted {
		return fmt.Errorf("accepts connections and does not answer: nothing came within %s", connectDeadline)
	}
	return fmt.Errorf("no connection within %s: is the address right, and does a firewall let it through?", connectDeadline)
}

// explain tells what can be cured over there from what cannot.
func (r *remote) explain(ctx context.Context, err error) error {
	switch code := status.Code(err); {
	case code == codes.DeadlineExceeded || errors.Is(ctx.Err(), context.DeadlineExceeded): // gRPC looks at the clock, and may be the first
		return laterError{fmt.Errorf("%s did not finish Configure within plugins.start_timeout (%s)", r.address, r.timeout)}
	case code == codes.Unavailable || code == codes.Canceled:
		return laterError{fmt.Errorf("%s: %w", r.address, plain(err))}
	case code == codes.Unimplemented:
		return fmt.Errorf("address: the server at %s is no plugin: %w", r.address, plain(err))
	}
	return plain(err)
}

// connected is an instance that ends with its connection: the server at the end of another one may be one that was started
// anew and knows nothing of its configuration.
func connected(conn *grpc.ClientConn) *instance {
	watching, cancel := context.WithCancel(context.Background())
	lost := make(chan struct{})
	var once sync.Once
	var why error
	i := &instance{conn: conn, plugin: pluginv1.NewPluginClient(conn), exited: lost, ended: func() error { return why }}
	i.lose = func(err error) {
		once.Do(func() {
			why = err
			close(lost)
		})
	}
	i.kill = func() {
		cancel()
		_ = conn.Close() // fails when it is closed
	}
	i.stop = func() error {
		i.kill()
		return nil
	}
	go func() {
		if conn.WaitForStateChange(watching, connectivity.Ready) {
			i.lose(errors.New("the connection was lost"))
		}
	}()
	return i
}
