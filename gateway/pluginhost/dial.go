package pluginhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// Health is asked each second, so only a Configure that takes long is ever without traffic. Servers allow a ping in
// five minutes, and two more before they hang up.
const (
	pingInterval = 30 * time.Second
	pingDeadline = 5 * time.Second // also for the kernel to get anything acknowledged
)

// dial makes one connection, which is never replaced by another, and returns when the server has spoken HTTP/2. It sets
// accepted when something at the address takes connections. gRPC gets a connection that is open already: it has a line in
// the log for each that it cannot open.
func (r *remote) dial(ctx context.Context, transport credentials.TransportCredentials, accepted *atomic.Bool) (*grpc.ClientConn, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", r.address)
	if err != nil {
		return nil, cure(err)
	}
	accepted.Store(true)
	secured, info, err := transport.ClientHandshake(ctx, cmp.Or(r.tls.ServerName, r.address), raw)
	if err != nil {
		_ = raw.Close()
		return nil, cure(err)
	}
	var dialed atomic.Bool
	conn, err := grpc.NewClient("passthrough:///"+r.address, append(append(sdk.DialOptions(), r.secrets.dialOptions()...),
		grpc.WithTransportCredentials(shaken{transport, secured, info}),
		grpc.WithNoProxy(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingInterval, Timeout: pingDeadline}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(sdk.MaxMessageBytes), grpc.MaxCallSendMsgSize(sdk.MaxMessageBytes)),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if dialed.Swap(true) {
				return nil, errors.New("the connection was lost")
			}
			return raw, nil
		}))...)
	if err != nil {
		return nil, errors.Join(err, secured.Close())
	}
	if err := heard(ctx, conn); err != nil {
		_, _ = conn.Close(), secured.Close() // fail when they are closed
		return nil, cure(err)
	}
	return conn, nil
}

// shaken are credentials for a connection on which the handshake has been made.
type shaken struct {
	credentials.TransportCredentials
	conn net.Conn
	info credentials.AuthInfo
}

// ClientHandshake implements credentials.TransportCredentials.
func (s shaken) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return s.conn, s.info, nil
}

// Clone implements credentials.TransportCredentials.
func (s shaken) Clone() credentials.TransportCredentials { return s }

// heard waits for the server's first word.
func heard(ctx context.Context, conn *grpc.ClientConn) error {
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if state == connectivity.TransientFailure {
			_, err := pluginv1.NewPluginClient(conn).Health(ctx, &pluginv1.HealthRequest{}) // fails with what is in the way
			return err
		}
		if !conn.WaitForStateChange(ctx, state) {
			return ctx.Err()
		}
	}
	return nil
}

// cure adds to why there is no connection what to do about it.
func cure(err error) error {
	text := strings.TrimPrefix(plain(err).Error(), "connection error: desc = ") // gRPC's own
	if whole, err := strconv.Unquote(text); err == nil {
		text = whole
	}
	text = strings.TrimPrefix(text, "tls: failed to verify certificate: x509: ")
	for _, known := range [][2]string{
		{"connection refused", "nothing listens there"},
		{"no such host", "is the name right?"},
		{"signed by unknown authority", "set tls::ca_file to the CA that has signed the server's certificate"},
		{"has expired or is not yet valid", "renew the server's certificate"},
		{"certificate is valid for", "connect to a name that the certificate has, or set tls::server_name_override to one"},
		{"certificate is not valid for any names", "connect to a name that the certificate has, or set tls::server_name_override to one"},
		{"doesn't contain any IP SANs", "connect to a name that the certificate has, or set tls::server_name_override to one"},
		{"first record does not look like a TLS handshake", "the server speaks no TLS: give it a certificate, or set tls::insecure to true"},
		{"certificate required", "the server wants a certificate of the gateway: set tls::cert_file and tls::key_file"},
		{"bad certificate", "the server does not accept tls::cert_file"},
		{"unknown certificate authority", "the server does not know the CA that has signed tls::cert_file"},
		{"missing selected ALPN property", "the server speaks TLS and no HTTP/2: is it a gRPC server?"},
		{"broken pipe", "the server hung up: does it want TLS, or a certificate of the gateway (tls::cert_file and tls::key_file)?"},
		{"connection reset by peer", "the server hung up: does it want TLS, or a certificate of the gateway (tls::cert_file and tls::key_file)?"},
		{"error reading server preface", "the server does not speak HTTP/2: does it want TLS, or is it no gRPC server?"},
	} {
		if strings.Contains(text, known[0]) {
			return fmt.Errorf("%s: %s", text, known[1])
		}
	}
	return errors.New(text)
}
