package sdk

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

func TestConfigureAgain(t *testing.T) {
	opened := 0
	plugin := newLife(func(_ context.Context, c Config) (*Storage, error) {
		opened++
		return new(Storage), c.Decode(&struct {
			A int
			B map[string]any
		}{})
	})
	f := func(name, listen, config string, want codes.Code) {
		t.Helper()
		_, err := plugin.Configure(t.Context(), &pluginv1.ConfigureRequest{Name: name, Listen: listen, Config: []byte(config)})
		if status.Code(err) != want {
			t.Errorf("%v, want %v", err, want)
		}
	}
	// a wrong one leaves the plugin as it was
	f("a", ":1", `{"c":1}`, codes.InvalidArgument)
	f("a", ":1", `{"a":1,"b":{"x":1,"y":2}}`, codes.OK)
	opened = 0
	f("a", ":1", `{"a":1,"b":{"x":1,"y":2}}`, codes.OK)
	// the order of keys, spaces and the name do not count
	f("b", ":1", ` {"b": {"y":2, "x":1}, "a":1}`, codes.OK)
	f("a", ":2", `{"a":1,"b":{"x":1,"y":2}}`, codes.FailedPrecondition)
	f("a", ":1", `{"a":2,"b":{"x":1,"y":2}}`, codes.FailedPrecondition)
	f("a", ":1", ``, codes.FailedPrecondition)
	f("a", ":1", `{`, codes.FailedPrecondition)
	if opened != 0 {
		t.Errorf("opened %d times more", opened)
	}
	if err := plugin.stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	// what comes after this process may take it
	f("a", ":1", `{"a":1,"b":{"x":1,"y":2}}`, codes.Unavailable)
}

// An empty configuration is {}.
func TestConfigureAgainWithNothing(t *testing.T) {
	plugin := newLife(func(context.Context, Config) (*Storage, error) { return new(Storage), nil })
	for _, config := range []string{"", "{}", " ", ""} {
		response, err := plugin.Configure(t.Context(), &pluginv1.ConfigureRequest{Config: []byte(config), ProtocolVersion: 9})
		if err != nil || response.GetProtocolVersion() != ProtocolVersion {
			t.Errorf("%q: %v, %v", config, response, err)
		}
	}
}

func TestNegotiate(t *testing.T) {
	f := func(gateway, oldest, newest, want uint32) {
		t.Helper()
		if got, err := negotiate(gateway, oldest, newest); got != want || err != nil {
			t.Errorf("%d, %v, want %d", got, err, want)
		}
	}
	// a gateway from before there were versions
	f(0, 1, 1, 1)
	f(0, 1, 3, 1)
	// the older one decides
	f(2, 1, 3, 2)
	f(3, 1, 2, 2)
	f(3, 3, 3, 3)
	for _, gateway := range []uint32{0, 1, 2} {
		if _, err := negotiate(gateway, 3, 4); status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "needs version 3") {
			t.Errorf("%d: %v", gateway, err)
		}
	}
}
