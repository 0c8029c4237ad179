package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// traceStore is whoever keeps traces.
type traceStore struct {
	ptraceotlp.UnimplementedGRPCServer
	got     chan ptrace.Traces
	away    atomic.Bool
	refused atomic.Int64
}

func (s *traceStore) Export(_ context.Context, request ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	if s.away.Load() {
		s.refused.Add(1)
		return ptraceotlp.NewExportResponse(), status.Error(codes.Unavailable, "away")
	}
	s.got <- request.Traces()
	return ptraceotlp.NewExportResponse(), nil
}

// startTraceStore serves one until the test ends.
func startTraceStore(t *testing.T) (s *traceStore, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s = &traceStore{got: make(chan ptrace.Traces, 10)}
	server := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(server, s)
	ended := make(chan error)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-ended })
	return s, listener.Addr().String()
}

// span is the one that was handed on next, with its service.
func (s *traceStore) span(t *testing.T) (span ptrace.Span, service string) {
	t.Helper()
	select {
	case traces := <-s.got:
		spans := traces.ResourceSpans().At(0)
		name, _ := spans.Resource().Attributes().Get("service.name")
		return spans.ScopeSpans().At(0).Spans().At(0), name.Str()
	case <-time.After(patience):
		t.Fatal("no trace was handed on")
		return span, ""
	}
}

// startLayers runs a gateway that hands traces on.
func startLayers(t *testing.T) (*durable, *traceStore) {
	t.Helper()
	store, address := startTraceStore(t)
	t.Setenv("TRACES", address)
	d := &durable{addresses: freeAddresses(t), data: t.TempDir()}
	d.configs = []string{
		"--config", d.config(t, needsPlugins(t)), "--config", "../examples/layers/traces.yaml",
		"--config", "yaml:exporters::otlp_grpc/traces: {tls: {insecure: true}, retry_on_failure: {initial_interval: 100ms}}",
	}
	d.run(t)
	return d, store
}

// What applications send by OTLP: metrics are stored under their names, hostile names hurt nothing. Traces are handed on as they are, and
// outlive their store's absence and the gateway's death.
func TestLayersOTLP(t *testing.T) {
	a, store := startLayers(t)
	const resource = `"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "orders"}}, {"key": "app", "value": {"stringValue": "orders"}}]}`
	postOTLP(t, a.http, "metrics", `{"resourceMetrics": [{`+resource+`, "scopeMetrics": [{"metrics": [{"name": "shop_orders_total",
  "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [{"asInt": "7", "timeUnixNano": "`+fmt.Sprint(time.Now().UnixNano())+`"}]}}]}]}]}`)
	a.until(t, `shop_orders_total{job="orders",app="orders"}`, "7")
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	postTrace := func() {
		postOTLP(t, a.http, "traces", `{"resourceSpans": [{`+resource+`, "scopeSpans": [{"spans": [{"traceId": "`+trace+`", "spanId": "00f067aa0ba902b7", "name": "GET /orders",
  "kind": 2, "startTimeUnixNano": "1000", "endTimeUnixNano": "2000"}]}]}]}`)
	}
	postTrace()
	span, service := store.span(t)
	require.Equal(t, []string{trace, "00f067aa0ba902b7", "GET /orders", "orders"}, []string{span.TraceID().String(), span.SpanID().String(), span.Name(), service})
	postOTLP(t, a.http, "logs", `{"resourceLogs": [{"resource": {"attributes": [{"key": "app", "value": {"stringValue": "o\"}\n# {\\"}}]},
  "scopeLogs": [{"logRecords": [{"severityNumber": 21, "body": {"stringValue": "down"}}]}]}]}`)
	a.until(t, `lockkeeper_log_records_total{app="o\"}\n# {\\",version="unknown",severity="FATAL"}`, "1")

	store.away.Store(true)
	postTrace()
	wait(t, "the store to refuse it twice", func() bool { return store.refused.Load() > 1 })
	a.gateway.signal(t, syscall.SIGKILL)
	_, _ = a.gateway.exit(t)
	store.away.Store(false)
	a.run(t)
	span, _ = store.span(t)
	require.Equal(t, trace, span.TraceID().String())
}

// A real application with OpenTelemetry's SDK, in the trace of a request that its Envoy reports as failed: request, log records and spans
// have one trace id, and what it logged is counted, the access log's record aside.
func TestLayersOTLPByTheSDK(t *testing.T) {
	python := needs(t, "python", "../.cache/venv/bin/python", "make python")
	if exec.CommandContext(t.Context(), python, "-c", "import opentelemetry.sdk").Run() != nil {
		lacks(t, "python", "needs opentelemetry-sdk: make python")
	}
	a, store := startLayers(t)
	for i, by := range []struct{ protocol, endpoint, version, trace string }{
		{"grpc", a.grpc, "v1", "0af7651916cd43dd8448eb211c80319c"},
		{"http", a.http, "v2", "4bf92f3577b34da6a3ce929d0e0e4736"},
	} {
		traceparent := "00-" + by.trace + "-b7ad6b7169203331-01"
		failRequest(t, a.sink, "8f3c2e5a-1111-4222-8333-44445555666"+fmt.Sprint(i), map[string]string{"traceparent": traceparent})
		app := exec.CommandContext(t.Context(), python, "../examples/layers/python/payments.py", by.protocol, traceparent)
		app.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+by.endpoint, "OTEL_RESOURCE_ATTRIBUTES=app=payments,idc=idc1,version="+by.version)
		output, err := app.CombinedOutput()
		require.NoError(t, err, string(output))

		span, _ := store.span(t)
		require.Equal(t, []string{by.trace, "b7ad6b7169203331", "POST /pay"}, []string{span.TraceID().String(), span.ParentSpanID().String(), span.Name()})
		told := map[string]string{}
		wait(t, "all records of the trace", func() bool {
			records, _ := findLogs(t, a.console, fmt.Sprintf("trace_id:=%q", by.trace))
			for _, record := range records {
				told[record["_msg"]] = record["severity_text"] + " " + record["bank"] + record["error.type"]
			}
			return len(records) == 3
		})
		require.Equal(t, "ERROR north", told["card declined"], told)
		require.Contains(t, told, "asked the bank")
		labels := `app="payments",idc="idc1",version="` + by.version + `"`
		a.until(t, `shop_payments_total{method="card",`+labels+`}`, "1")
		for _, severity := range []string{"INFO", "ERROR"} {
			a.until(t, `lockkeeper_log_records_total{plugin="victorialogs",severity="`+severity+`",`+labels+`}`, "1")
		}
		require.Contains(t, failedTraces(t, a.console), by.trace)
	}
	a.until(t, `sum(lockkeeper_log_records_total)`, "4")
	// As the rules ask for it, each version by itself; the first error of each is an increase.
	groups, errs := rulefmt.ParseFile("../deploy/rules/logs.yaml", false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	require.Empty(t, errs)
	for _, rule := range groups.Groups[0].Rules[:2] {
		a.until(t, "count(("+rule.Expr+") > 0)", "2")
	}
}

// failedTraces are those of the failed requests that the console shows of its edges.
func failedTraces(t *testing.T, console string) (traces []string) {
	t.Helper()
	var mesh struct{ Edges []struct{ ID string } }
	getJSON(t, "http://"+console+"/api/v1/mesh", &mesh)
	for _, edge := range mesh.Edges {
		var detail struct {
			Failures []struct {
				TraceID string `json:"trace_id"`
			}
		}
		getJSON(t, "http://"+console+"/api/v1/mesh/edge?id="+url.QueryEscape(edge.ID), &detail)
		for _, failure := range detail.Failures {
			traces = append(traces, failure.TraceID)
		}
	}
	return traces
}

func postOTLP(t *testing.T, address, signal, body string) {
	t.Helper()
	response, err := http.Post("http://"+address+"/v1/"+signal, "application/json", strings.NewReader(body))
	require.NoError(t, err)
	_ = response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
}
