package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// fixture is the name under which the test's binary is a notification plugin.
const fixture = "notification-fixture"

// openFixture takes every notification, or none.
func openFixture(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
	var settings struct {
		Token  string `yaml:"token"`
		Refuse bool   `yaml:"refuse"`
	}
	if err := c.Decode(&settings); err != nil {
		return nil, err
	}
	if settings.Token != "" {
		fmt.Fprintln(os.Stderr, "[INFO] the token has", len(settings.Token), "characters")
	}
	return &sdk.Notification{Notify: func(context.Context, *sdk.Group) error {
		if settings.Refuse {
			return sdk.Permanent(errors.New("no such \x1b[2Jchannel"))
		}
		return nil
	}}, nil
}

func TestPluginTest(t *testing.T) {
	program := filepath.Join(t.TempDir(), fixture)
	if err := os.Symlink(os.Args[0], program); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FIXTURE_TOKEN", "0123\n")
	good := writeFile(t, `token: "${env:FIXTURE_TOKEN}"`) // text, without the newline, as the gateway has it
	bad := writeFile(t, "refuse: true")
	expectCall(t, 0, []string{"plugin", "test", program}, "ok      handshake (", " ok, 0 failed, 0 skipped in ")
	expectCall(t, 0, []string{"plugin", "test", program, "-v", "--config", good}, "the token has 4 characters\n")
	expectCall(t, 1, []string{"plugin", "test", program, "--config", bad}, "ok      Configure (", "FAIL    a group that fires: ",
		`no such \x1b[2Jchannel`, "error: the plugin does not conform\n")
	var answer struct {
		Checks              []checked
		OK, Failed, Skipped int
	}
	code, out, _ := call(t, "plugin", "test", program, "--config", bad, "-o", "json")
	if err := json.Unmarshal([]byte(out), &answer); err != nil || code != 1 || answer.Failed == 0 || answer.OK+answer.Failed+answer.Skipped != len(answer.Checks) {
		t.Errorf("%d %v: %s", code, err, out)
	}
	// What is no plugin.
	expectCall(t, 1, []string{"plugin", "test", "/bin/true"}, "it ended before its handshake")
	expectCall(t, 1, []string{"plugin", "test", "/nowhere/plugin"}, "/nowhere/plugin")
}

func TestPluginTestOfAServer(t *testing.T) {
	file := certificate(t)
	cert, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	serve := func(options ...grpc.ServerOption) (address string) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := grpc.NewServer(append(options, sdk.ServerOptions()...)...)
		stop := sdk.RegisterNotification(server, openFixture)
		done := make(chan error, 1)
		go func() { done <- server.Serve(listener) }()
		t.Cleanup(func() {
			server.Stop()
			if err := errors.Join(<-done, stop(context.Background())); err != nil {
				t.Error(err)
			}
		})
		return listener.Addr().String()
	}
	plain, secure := serve(), serve(grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
	f := func(wantCode int, want string, args ...string) {
		t.Helper()
		expectCall(t, wantCode, append([]string{"plugin", "test"}, args...), want)
	}
	f(0, "skipped Stop: ", "--address", plain, "--insecure")
	f(0, " ok, 0 failed, ", "--address", secure, "--ca-file", file)
	f(1, "give the authority's certificate by --ca-file", "--address", secure)
	f(1, "it is without TLS: give --insecure", "--address", plain, "--ca-file", file)
	f(1, "it may want TLS: leave --insecure away", "--address", secure, "--insecure")
	f(1, "refused", "--address", freeAddress(t), "--insecure")
}

func TestPluginTestMistakes(t *testing.T) {
	f := func(wantCode int, want string, args ...string) {
		t.Helper()
		expectCall(t, wantCode, append([]string{"plugin", "test"}, args...), want)
	}
	f(2, "say which plugin")
	f(2, "say which plugin", "./x", "--address", "localhost:1")
	f(2, "must be HOST:PORT", "--address", "localhost")
	f(2, "are for --address", "./x", "--insecure")
	f(2, "are for --address", "./x", "--ca-file", "ca.pem")
	f(2, "--insecure is without TLS", "--address", "localhost:1", "--insecure", "--ca-file", "ca.pem")
	f(1, "nowhere.pem", "--address", "localhost:1", "--ca-file", "nowhere.pem")
	f(1, "nowhere.yaml", "./x", "--config", "nowhere.yaml")
	list := writeFile(t, "[1, 2]")
	f(1, list+": ", "./x", "--config", list)
	f(2, "must be text or json", "./x", "-o", "xml")
}
