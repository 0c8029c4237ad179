package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
)

// traceStore is whoever keeps traces.
type traceStore struct {
	ptraceotlp.UnimplementedGRPCServer
	got chan ptrace.Traces
}

func (s *traceStore) Export(_ context.Context, request ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	s.got <- request.Traces()
	return ptraceotlp.NewExportResponse(), nil
}

// What applications send by OTLP: metrics are stored under their names, traces are handed on as they are.
func TestLayersOTLP(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	store, server := &traceStore{got: make(chan ptrace.Traces, 10)}, grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(server, store)
	ended := make(chan error)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-ended })
	a := freeAddresses(t)
	t.Setenv("TRACES", listener.Addr().String())
	startRun(t, "--config", a.config(t, needsPlugins(t)), "--config", "../examples/layers/traces.yaml",
		"--config", "yaml:exporters::otlp_grpc/traces::tls::insecure: true").expect(t, "Lockkeeper is ready")

	const resource = `"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "orders"}}, {"key": "app", "value": {"stringValue": "orders"}}]}`
	postOTLP(t, a.http, "metrics", `{"resourceMetrics": [{`+resource+`, "scopeMetrics": [{"metrics": [{"name": "shop_orders_total",
  "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [{"asInt": "7", "timeUnixNano": "`+fmt.Sprint(time.Now().UnixNano())+`"}]}}]}]}]}`)
	a.until(t, `shop_orders_total{job="orders",app="orders"}`, "7")
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	postOTLP(t, a.http, "traces", `{"resourceSpans": [{`+resource+`, "scopeSpans": [{"spans": [{"traceId": "`+trace+`", "spanId": "00f067aa0ba902b7", "name": "GET /orders",
  "kind": 2, "startTimeUnixNano": "1000", "endTimeUnixNano": "2000"}]}]}]}`)
	select {
	case traces := <-store.got:
		spans := traces.ResourceSpans().At(0)
		span := spans.ScopeSpans().At(0).Spans().At(0)
		name, _ := spans.Resource().Attributes().Get("service.name")
		require.Equal(t, []string{trace, "00f067aa0ba902b7", "GET /orders", "orders"}, []string{span.TraceID().String(), span.SpanID().String(), span.Name(), name.Str()})
	case <-time.After(patience):
		t.Error("no trace was handed on")
	}
}

func postOTLP(t *testing.T, address, signal, body string) {
	t.Helper()
	response, err := http.Post("http://"+address+"/v1/"+signal, "application/json", strings.NewReader(body))
	require.NoError(t, err)
	_ = response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
}
