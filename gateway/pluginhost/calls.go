package pluginhost

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc/codes"
)

// calls counts the calls to all plugins. The labels of each kind of call are made once: each batch of samples is a call.
type calls struct {
	count    metric.Int64Counter
	duration metric.Float64Histogram

	mu    sync.RWMutex
	known map[call]*labels
}

type call struct {
	plugin, method string
	code           codes.Code
}

type labels struct {
	count    []metric.AddOption
	duration []metric.RecordOption
}

func newCalls(meter metric.Meter) (*calls, error) {
	c := &calls{known: map[call]*labels{}}
	var errs [2]error
	c.count, errs[0] = meter.Int64Counter("lockkeeper_plugin_calls_total",
		metric.WithDescription("Calls to a plugin by gRPC method and status code."))
	c.duration, errs[1] = meter.Float64Histogram("lockkeeper_plugin_call_duration_seconds", metric.WithUnit("s"),
		metric.WithDescription("How long calls to a plugin took."),
		metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10))
	return c, errors.Join(errs[:]...)
}

// add counts a call that has ended.
func (c *calls) add(made call, took time.Duration) {
	if made.code > codes.Unauthenticated { // which is the last: a plugin can answer any number
		made.code = codes.Unknown
	}
	c.mu.RLock()
	of := c.known[made]
	c.mu.RUnlock()
	if of == nil {
		of = made.labels()
		c.mu.Lock()
		c.known[made] = of
		c.mu.Unlock()
	}
	c.duration.Record(context.Background(), took.Seconds(), of.duration...)
	c.count.Add(context.Background(), 1, of.count...)
}

func (c call) labels() *labels {
	names := []attribute.KeyValue{attribute.String("plugin", c.plugin), attribute.String("method", strings.TrimPrefix(c.method, "/"))}
	timed := metric.WithAttributeSet(attribute.NewSet(names...))
	counted := metric.WithAttributeSet(attribute.NewSet(append(names, attribute.String("code", c.code.String()))...))
	return &labels{count: []metric.AddOption{counted}, duration: []metric.RecordOption{timed}}
}
