package sdk_test

import (
	"context"
	"crypto/tls"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// A plugin answers who started it, and nobody else.
func TestClientTLS(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "storage-memory")
	if out, err := exec.Command("go", "build", "-o", binary, "./sdktest/testdata/memory").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	config, clientCert := clientTLS(t)
	command := exec.Command(binary)
	command.Env = []string{clientCert}
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: sdk.Handshake(), Plugins: sdk.ClientPlugins(), Cmd: command, TLSConfig: config, SkipHostEnv: true,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC}, Logger: hclog.NewNullLogger(),
	})
	t.Cleanup(client.Kill)
	protocol, err := client.Client()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := protocol.Dispense(sdk.PluginKey)
	if err != nil {
		t.Fatal(err)
	}
	if code := infoCode(t, conn.(*grpc.ClientConn)); code != codes.FailedPrecondition {
		t.Errorf("to its gateway it answers %v, want FailedPrecondition: it is not configured", code)
	}
	stranger, _ := clientTLS(t)
	stranger.RootCAs = config.RootCAs
	nobody := &tls.Config{RootCAs: config.RootCAs, ServerName: "localhost", MinVersion: tls.VersionTLS12}
	for what, credentials := range map[string]credentials.TransportCredentials{
		"another certificate": credentials.NewTLS(stranger),
		"no certificate":      credentials.NewTLS(nobody),
		"no TLS":              insecure.NewCredentials(),
	} {
		address := client.ReattachConfig().Addr
		conn, err := grpc.NewClient(address.Network()+":"+address.String(), grpc.WithTransportCredentials(credentials))
		if err != nil {
			t.Fatal(err)
		}
		if code := infoCode(t, conn); code != codes.Unavailable {
			t.Errorf("with %s it answers %v, want Unavailable", what, code)
		}
		_ = conn.Close()
	}
}

func clientTLS(t *testing.T) (*tls.Config, string) {
	t.Helper()
	config, environment, err := sdk.ClientTLS()
	if err != nil {
		t.Fatal(err)
	}
	return config, environment
}

func infoCode(t *testing.T, conn *grpc.ClientConn) codes.Code {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := pluginv1.NewPluginClient(conn).Info(ctx, new(pluginv1.InfoRequest))
	return status.Code(err)
}
