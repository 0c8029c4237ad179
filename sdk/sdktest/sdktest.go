// Package sdktest is the conformance suite: what the gateway relies on, asked of a plugin as the gateway would ask it.
//
// There is one suite for each kind of plugin. It runs in a Go test, on a plugin in the test's own process (Storage,
// Notification, Alerting), on the finished binary (Process) or on a server (Address), and without one by Check. What is
// asked is the same everywhere, but for what only a process can do. It is asked in earnest: a notification plugin that
// is configured with a channel of people sends the suite's groups to them, and a storage plugin stores its requests.
package sdktest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// Target is what Check checks: a binary, started as the gateway starts it, or a server at an address.
type Target struct {
	Binary  string         // path of an executable
	Address string         // host:port, instead of Binary
	TLS     *tls.Config    // for Address; nil: plaintext
	Config  map[string]any // a configuration that the plugin accepts
	Output  io.Writer      // takes what the plugin prints; nil: nobody
}

// Result is what one check found.
type Result struct {
	Name    string
	Err     error         // what is wrong, for the plugin's author; nil: nothing
	Skipped string        // why the check was not made; empty: it was
	Took    time.Duration // starting and ending the plugin included
}

// ErrFailed tells that a check failed; its Result says why.
var ErrFailed = errors.New("the plugin does not conform")

// Check runs the suite of the kind that the plugin says it is and calls report after each check, in order. The error
// is ErrFailed when a check failed; any other one says why the suite could not run.
//
// A binary is started, and ended, several times, one process at a time. A server at an address is configured and
// never stopped; one that is configured already is checked when it is configured with target.Config.
func Check(ctx context.Context, target Target, report func(Result)) error {
	if (target.Binary == "") == (target.Address == "") {
		return errors.New("want a binary or an address, and not both")
	}
	s := &session{config: target.Config, many: manyRequests}
	if target.Address != "" {
		if err := s.useAddress(ctx, target.Address, target.TLS); err != nil {
			return err
		}
		return s.run(ctx, report)
	}
	remove, err := s.useBinary(target.Binary, target.Output)
	if err != nil {
		return err
	}
	return errors.Join(s.run(ctx, report), remove())
}

// Storage runs the suite on a storage plugin in this process. config is a configuration that the plugin accepts;
// open is called more than once, but one plugin is closed before the next is opened.
func Storage(t *testing.T, open sdk.OpenStorage, config map[string]any) {
	t.Helper()
	inProcess(t, "storage", config, func(s *grpc.Server) stopFunc { return sdk.RegisterStorage(s, open) })
}

// Notification is to a notification plugin what Storage is to a storage plugin.
func Notification(t *testing.T, open sdk.OpenNotification, config map[string]any) {
	t.Helper()
	inProcess(t, "notification", config, func(s *grpc.Server) stopFunc { return sdk.RegisterNotification(s, open) })
}

// Alerting is to an alerting plugin what Storage is to a storage plugin. The suite is the source of the plugin's rules:
// a Prometheus API whose every instant query has one sample of the value 1. Rules that fire on that are checked best.
func Alerting(t *testing.T, open sdk.OpenAlerting, config map[string]any) {
	t.Helper()
	inProcess(t, "alerting", config, func(s *grpc.Server) stopFunc { return sdk.RegisterAlerting(s, open) })
}

// Process runs the suite of its kind on the binary of a plugin, started as the gateway starts it.
func Process(t *testing.T, binary string, config map[string]any) {
	t.Helper()
	test(t, func(report func(Result)) error {
		return Check(t.Context(), Target{Binary: binary, Config: config, Output: t.Output()}, report)
	})
}

// Address runs the suite of its kind on a plugin that is a server at host:port. A nil tls is plaintext.
func Address(t *testing.T, address string, tls *tls.Config, config map[string]any) {
	t.Helper()
	test(t, func(report func(Result)) error {
		return Check(t.Context(), Target{Address: address, TLS: tls, Config: config}, report)
	})
}

func inProcess(t *testing.T, kind string, config map[string]any, register func(*grpc.Server) stopFunc) {
	t.Helper()
	s := &session{config: config, kind: kind, many: manyRequests, connect: func(context.Context) (*plugin, error) { return serve(register) }}
	test(t, func(report func(Result)) error { return s.run(t.Context(), report) })
}

// test makes a subtest of each result.
func test(t *testing.T, suite func(report func(Result)) error) {
	t.Helper()
	err := suite(func(r Result) {
		t.Run(r.Name, func(t *testing.T) {
			if r.Skipped != "" {
				t.Skip(r.Skipped)
			}
			if r.Err != nil {
				t.Error(r.Err)
			}
		})
	})
	if err != nil && !errors.Is(err, ErrFailed) {
		t.Error(err)
	}
}
