package storage

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/lockkeeper/lockkeeper/sdk"
)

func TestWhatAnErrorMeans(t *testing.T) {
	var answer error
	e := direct(t, servePlugin(t, sdk.Storage{WriteMetrics: func(context.Context, sdk.Metrics) error { return answer }}))
	f := func(given error, wantPermanent bool) {
		t.Helper()
		answer = given
		err := e.pushMetrics(t.Context(), someMetrics("x"))
		require.Error(t, err)
		require.Equal(t, wantPermanent, consumererror.IsPermanent(err), err)
	}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		switch code {
		case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
			f(status.Error(code, "x"), false)
		default:
			f(status.Error(code, "x"), true)
		}
	}
	// full for now
	f(withRetryInfo(t, codes.ResourceExhausted, time.Second), false)
	// as plugin authors say it
	f(sdk.Permanent(errors.New("x")), true)
	f(sdk.Retryable(errors.New("x"), 0), false)
	f(errors.New("x"), false)
}

func withRetryInfo(t *testing.T, code codes.Code, delay time.Duration) error {
	t.Helper()
	s, err := status.New(code, "x").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	require.NoError(t, err)
	return s.Err()
}

func TestRetryWaitsAsLongAsThePluginAsks(t *testing.T) {
	const pause = 700 * time.Millisecond // longer than retry_on_failure would wait by itself
	var mu sync.Mutex
	var calls []time.Time
	stored := make(chan struct{})
	conn := servePlugin(t, sdk.Storage{WriteMetrics: func(context.Context, sdk.Metrics) error {
		mu.Lock()
		defer mu.Unlock()
		if calls = append(calls, time.Now()); len(calls) == 1 {
			return withRetryInfo(t, codes.ResourceExhausted, pause)
		}
		close(stored)
		return nil
	}})
	cfg := createDefaultConfig().(*Config)
	cfg.Plugin = "x"
	e := create(t, cfg, host{conn: conn})
	require.NoError(t, e.ConsumeMetrics(t.Context(), someMetrics("x")))
	<-stored
	require.GreaterOrEqual(t, calls[1].Sub(calls[0]), pause)
	require.NoError(t, e.Shutdown(t.Context()))
}

// Through queue and retry: what may be tried again is taken at the next try, what may not is dropped, and each is counted.
func TestEachAnswerIsRetriedOrDroppedAndCounted(t *testing.T) {
	f := func(answer error, wantCalls, wantSent, wantFailed int) {
		t.Helper()
		var calls int
		conn := servePlugin(t, sdk.Storage{WriteMetrics: func(context.Context, sdk.Metrics) error {
			if calls++; calls == 1 {
				return answer
			}
			return nil
		}})
		telemetry := componenttest.NewTelemetry()
		cfg, err := load(t, `{plugin: x, sending_queue: {num_consumers: 1}, retry_on_failure: {initial_interval: 1ms}}`)
		require.NoError(t, err)
		e := createWith(t, telemetry.NewTelemetrySettings(), cfg, host{conn: conn})
		require.NoError(t, e.ConsumeMetrics(t.Context(), someMetrics("x")))
		require.Eventually(t, func() bool {
			return counted(telemetry, "otelcol_exporter_sent_metric_points")+counted(telemetry, "otelcol_exporter_send_failed_metric_points") > 0
		}, time.Minute, time.Millisecond, answer)
		require.NoError(t, e.Shutdown(t.Context()))
		require.Equal(t, wantCalls, calls, answer)
		require.Equal(t, wantSent, counted(telemetry, "otelcol_exporter_sent_metric_points"), answer)
		require.Equal(t, wantFailed, counted(telemetry, "otelcol_exporter_send_failed_metric_points"), answer)
		require.NoError(t, telemetry.Shutdown(context.Background()))
	}
	again := func(answer error) { t.Helper(); f(answer, 2, 1, 0) }
	never := func(answer error) { t.Helper(); f(answer, 1, 0, 1) }
	again(status.Error(codes.Unavailable, "x"))
	again(withRetryInfo(t, codes.Unavailable, time.Millisecond))
	again(withRetryInfo(t, codes.ResourceExhausted, time.Millisecond))
	again(withRetryInfo(t, codes.ResourceExhausted, 0))
	again(status.Error(codes.DeadlineExceeded, "x"))
	again(errors.New("x"))
	never(status.Error(codes.ResourceExhausted, "x"))
	never(status.Error(codes.InvalidArgument, "x"))
	never(withRetryInfo(t, codes.InvalidArgument, time.Millisecond))
	never(status.Error(codes.Internal, "x"))
	never(status.Error(codes.Unimplemented, "x"))
	never(sdk.Permanent(errors.New("x")))
}

// counted is the value of a counter or gauge without labels that tell apart; 0 before there is one.
func counted(telemetry *componenttest.Telemetry, name string) int {
	metric, err := telemetry.GetMetric(name)
	if err != nil {
		return 0
	}
	if gauge, ok := metric.Data.(metricdata.Gauge[int64]); ok {
		return int(gauge.DataPoints[0].Value)
	}
	return int(metric.Data.(metricdata.Sum[int64]).DataPoints[0].Value)
}
