package sdktest

import (
	"context"
	"maps"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

const (
	metricsExport = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
	logsExport    = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
)

// testStorage asks everything of a new plugin from connect. The order within one life is the order of the checks.
func testStorage(t *testing.T, config map[string]any, connect func(*testing.T) grpc.ClientConnInterface) {
	t.Run("before Configure", func(t *testing.T) { testUnconfigured(t, connect(t)) })
	t.Run("wrong configuration", func(t *testing.T) { testWrongConfig(t, connect(t), config) })
	t.Run("life", func(t *testing.T) {
		conn := connect(t)
		configure(t, conn, config)
		t.Run("second Configure", func(t *testing.T) { testSecondConfigure(t, conn, config) })
		t.Run("Info", func(t *testing.T) { testInfo(t, conn) })
		t.Run("Health", func(t *testing.T) { testHealth(t, conn) })
		metrics := t.Run("metrics", func(t *testing.T) { testExport(t, conn, metricsExport, metricsRequests(t)) })
		logs := t.Run("logs", func(t *testing.T) { testExport(t, conn, logsExport, logsRequests(t)) })
		if metrics && logs && !supports(t, conn, metricsExport) && !supports(t, conn, logsExport) {
			t.Error("it stores neither metrics nor logs")
		}
		t.Run("Stop", func(t *testing.T) { testStop(t, conn) })
	})
}

func configure(t *testing.T, conn grpc.ClientConnInterface, config map[string]any) {
	t.Helper()
	if err := tryConfigure(t, conn, config); err != nil {
		t.Fatalf("Configure: %v", err)
	}
}

func tryConfigure(t *testing.T, conn grpc.ClientConnInterface, config map[string]any) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), answerWithin)
	defer cancel()
	_, err := pluginv1.NewPluginClient(conn).Configure(ctx, &pluginv1.ConfigureRequest{Name: "conformance", Config: encode(t, config)})
	return err
}

func testUnconfigured(t *testing.T, conn grpc.ClientConnInterface) {
	plugin := pluginv1.NewPluginClient(conn)
	_, infoErr := plugin.Info(t.Context(), new(pluginv1.InfoRequest))
	_, healthErr := plugin.Health(t.Context(), new(pluginv1.HealthRequest))
	for what, err := range map[string]error{
		"Info": infoErr, "Health": healthErr,
		"metrics": export(t, conn, metricsExport, nil), "logs": export(t, conn, logsExport, nil),
	} {
		if status.Code(err) != codes.FailedPrecondition {
			t.Errorf("%s before Configure: %v, want FailedPrecondition", what, err)
		}
	}
	if _, err := plugin.Stop(t.Context(), new(pluginv1.StopRequest)); err != nil {
		t.Errorf("Stop before Configure: %v", err)
	}
}

func testWrongConfig(t *testing.T, conn grpc.ClientConnInterface, config map[string]any) {
	wrong := maps.Clone(config)
	if wrong == nil {
		wrong = map[string]any{}
	}
	wrong["no_such_key"] = 1
	err := tryConfigure(t, conn, wrong)
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(status.Convert(err).Message(), "no_such_key") {
		t.Errorf("Configure with an unknown key: %v, want InvalidArgument and the key's name", err)
	}
}

func testSecondConfigure(t *testing.T, conn grpc.ClientConnInterface, config map[string]any) {
	if err := tryConfigure(t, conn, config); err != nil {
		t.Errorf("the same Configure again: %v", err)
	}
	other := maps.Clone(config)
	if other == nil {
		other = map[string]any{}
	}
	other["no_such_key"] = 1
	if err := tryConfigure(t, conn, other); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("another Configure: %v, want FailedPrecondition", err)
	}
}

func testInfo(t *testing.T, conn grpc.ClientConnInterface) {
	info, err := pluginv1.NewPluginClient(conn).Info(t.Context(), new(pluginv1.InfoRequest))
	if err != nil {
		t.Fatal(err)
	}
	if info.GetKind() != "storage" {
		t.Errorf("kind %q, want storage", info.GetKind())
	}
	for what, address := range map[string]string{"query_url": info.GetQueryUrl(), "remote_write_url": info.GetRemoteWriteUrl()} {
		if address == "" {
			continue
		}
		if u, err := url.Parse(address); err != nil || u.Host == "" || strings.HasSuffix(address, "/") {
			t.Errorf("%s %q: want a URL without a slash at the end", what, address)
		}
	}
}

func testHealth(t *testing.T, conn grpc.ClientConnInterface) {
	ctx, cancel := context.WithTimeout(t.Context(), answerWithin)
	defer cancel()
	if _, err := pluginv1.NewPluginClient(conn).Health(ctx, new(pluginv1.HealthRequest)); err != nil {
		t.Errorf("Health: %v", err)
	}
}

// testExport writes good requests, each twice and several at a time, and bad ones.
func testExport(t *testing.T, conn grpc.ClientConnInterface, method string, requests map[string][]byte) {
	if !supports(t, conn, method) {
		t.Skip("not supported by this plugin")
	}
	for what, request := range requests {
		for range 2 {
			if err := export(t, conn, method, request); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for what, request := range requests {
				if err := export(t, conn, method, request); err != nil {
					t.Errorf("%s, at the same time as others: %v", what, err)
				}
			}
		})
	}
	callers.Wait()
	for what, request := range map[string][]byte{
		"garbage":             []byte("\xff\xff\xff\xffthis is not protobuf"),
		"a truncated request": requests["all kinds"][:len(requests["all kinds"])-3],
	} {
		if err := export(t, conn, method, request); !sdk.IsPermanent(err) || status.Code(err) == codes.Internal {
			t.Errorf("%s: %v, want a permanent error, and no panic", what, err)
		}
	}
	testHealth(t, conn)
}

// supports tells whether the plugin takes an empty request at all.
func supports(t *testing.T, conn grpc.ClientConnInterface, method string) bool {
	t.Helper()
	err := export(t, conn, method, nil)
	if err != nil && status.Code(err) != codes.Unimplemented {
		t.Errorf("empty request: %v", err)
	}
	return err == nil
}

func testStop(t *testing.T, conn grpc.ClientConnInterface) {
	began := time.Now()
	plugin := pluginv1.NewPluginClient(conn)
	if _, err := plugin.Stop(t.Context(), new(pluginv1.StopRequest)); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if took := time.Since(began); took > stopWithin {
		t.Errorf("Stop took %v, and after %v the process is killed", took, stopWithin)
	}
	if err := export(t, conn, metricsExport, nil); err == nil || sdk.IsPermanent(err) {
		t.Errorf("a request after Stop: %v, want an error that can be retried", err)
	}
	if _, err := plugin.Stop(t.Context(), new(pluginv1.StopRequest)); err != nil {
		t.Errorf("second Stop: %v", err)
	}
}
