package storage

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// host has an extension that knows one plugin, x, and others besides.
type host struct {
	others map[component.ID]component.Component
	conn   grpc.ClientConnInterface
	queues map[string]func() (size, capacity int64, oldest time.Duration)
}

type extension struct {
	component.Component
	conn   grpc.ClientConnInterface
	queues map[string]func() (size, capacity int64, oldest time.Duration)
}

func (h host) GetExtensions() map[component.ID]component.Component {
	all := map[component.ID]component.Component{component.MustNewID("plugins"): extension{conn: h.conn, queues: h.queues}}
	for id, other := range h.others {
		all[id] = other
	}
	return all
}

func (e extension) Conn(plugin string) (grpc.ClientConnInterface, error) {
	if plugin != "x" {
		return nil, fmt.Errorf("no plugin %q in extension plugins: it has x", plugin)
	}
	return e.conn, nil
}

func (e extension) AddQueue(_, exporter, signal, unit string, state func() (size, capacity int64, oldest time.Duration)) {
	if e.queues != nil {
		e.queues[exporter+" "+signal+" "+unit] = state
	}
}

// settings are those of an exporter for the plugin x.
func settings(telemetry component.TelemetrySettings) *exporter.Settings {
	return &exporter.Settings{ID: component.MustNewID("plugin"), TelemetrySettings: telemetry}
}

// serve runs a gRPC server until the test ends and gives a connection to it.
func serve(t *testing.T, register func(*grpc.Server), options ...grpc.ServerOption) *grpc.ClientConn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer(options...)
	register(server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		server.Stop()
		<-done
	})
	return conn
}

// servePlugin serves a storage plugin.
func servePlugin(t *testing.T, storage sdk.Storage) *grpc.ClientConn {
	t.Helper()
	conn := serve(t, func(server *grpc.Server) {
		sdk.RegisterStorage(server, func(context.Context, sdk.Config) (*sdk.Storage, error) { return &storage, nil })
	}, sdk.ServerOptions()...)
	_, err := pluginv1.NewPluginClient(conn).Configure(t.Context(), &pluginv1.ConfigureRequest{Name: "x"})
	require.NoError(t, err)
	return conn
}

// direct makes the exporter without the Collector's queue and retry around it.
func direct(t *testing.T, conn grpc.ClientConnInterface) *pluginExporter {
	t.Helper()
	e, err := newExporter(&Config{Plugin: "x"}, "metrics", settings(componenttest.NewNopTelemetrySettings()))
	require.NoError(t, err)
	require.NoError(t, e.start(t.Context(), host{conn: conn}))
	return e
}

func someMetrics(name string) pmetric.Metrics {
	data := pmetric.NewMetrics()
	m := data.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName(name)
	m.SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(7)
	return data
}

func TestMetricsAndLogsArrive(t *testing.T) {
	var metrics pmetric.Metrics
	var logs plog.Logs
	e := direct(t, servePlugin(t, sdk.Storage{
		WriteMetrics: func(_ context.Context, m sdk.Metrics) (err error) {
			metrics, err = m.Decode()
			return err
		},
		WriteLogs: func(_ context.Context, l sdk.Logs) (err error) {
			logs, err = l.Decode()
			return err
		},
	}))
	sent := someMetrics("requests")
	require.NoError(t, e.pushMetrics(t.Context(), sent))
	require.Equal(t, sent, metrics)

	records := plog.NewLogs()
	records.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("hello")
	require.NoError(t, e.pushLogs(t.Context(), records))
	require.Equal(t, records, logs)
}

func create(t *testing.T, cfg *Config, h component.Host) exporter.Metrics {
	t.Helper()
	return createWith(t, componenttest.NewNopTelemetrySettings(), cfg, h)
}

func createWith(t *testing.T, telemetry component.TelemetrySettings, cfg *Config, h component.Host) exporter.Metrics {
	t.Helper()
	set := exportertest.NewNopSettings(component.MustNewType("plugin"))
	set.TelemetrySettings = telemetry
	set.ID = component.MustNewIDWithName("plugin", "metrics") // the queue on disk goes by it
	e, err := NewFactory().CreateMetrics(t.Context(), set, cfg)
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), h))
	return e
}

// rejecting takes every request but for two of its data points.
type rejecting struct {
	pmetricotlp.UnimplementedGRPCServer
}

func (*rejecting) Export(context.Context, pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	response := pmetricotlp.NewExportResponse()
	response.PartialSuccess().SetRejectedDataPoints(2)
	response.PartialSuccess().SetErrorMessage("too old")
	return response, nil
}

func TestPartialSuccessIsCountedAndLoggedOnce(t *testing.T) {
	conn := serve(t, func(server *grpc.Server) { pmetricotlp.RegisterGRPCServer(server, &rejecting{}) })
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	core, logs := observer.New(zap.InfoLevel)
	set := telemetry.NewTelemetrySettings()
	set.Logger = zap.New(core)
	e, err := newExporter(&Config{Plugin: "x"}, "metrics", settings(set))
	require.NoError(t, err)
	require.NoError(t, e.start(t.Context(), host{conn: conn}))
	for range 3 {
		require.NoError(t, e.pushMetrics(t.Context(), someMetrics("x")))
	}
	require.Equal(t, 1, logs.Len())
	require.Equal(t, "too old", logs.All()[0].ContextMap()["message"])
	metric, err := telemetry.GetMetric("lockkeeper_plugin_rejected_total")
	require.NoError(t, err)
	points := metric.Data.(metricdata.Sum[int64]).DataPoints
	require.Len(t, points, 1)
	require.EqualValues(t, 6, points[0].Value)
	require.Equal(t, attribute.NewSet(attribute.String("plugin", "x"), attribute.String("signal", "metrics")), points[0].Attributes)
}

func TestStartErrors(t *testing.T) {
	e, err := newExporter(&Config{Plugin: "y"}, "metrics", settings(componenttest.NewNopTelemetrySettings()))
	require.NoError(t, err)
	require.EqualError(t, e.start(t.Context(), host{}), `no plugin "y" in extension plugins: it has x`)
	require.EqualError(t, e.start(t.Context(), componenttest.NewNopHost()), "no extension runs plugins: add plugins to service::extensions")
}
