package sdktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	callers      = 8 // at a time
	manyRequests = 10_000
	largeBytes   = 2 << 20 // the gateway keeps its own requests below this
)

// signal is one of OTLP's.
type signal struct {
	name, method string
	requests     func() (map[string][]byte, error) // good ones
	sized        func(records int) ([]byte, error) // a plain one
}

func metrics() signal {
	return signal{"metrics", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", metricsRequests, plainMetrics}
}

func logs() signal {
	return signal{"logs", "/opentelemetry.proto.collector.logs.v1.LogsService/Export", logsRequests, plainLogs}
}

func storage() kind {
	checks := []check{{name: "metrics or logs", vital: true, run: checkSupports}}
	for _, stored := range []signal{metrics(), logs()} {
		add := func(what string, run func(context.Context, *session, signal) error) {
			checks = append(checks, check{name: stored.name + ": " + what, run: func(ctx context.Context, s *session) error {
				if !slices.Contains(s.methods, stored.method) {
					return skipped("the plugin does not store " + stored.name)
				}
				return run(ctx, s, stored)
			}})
		}
		add("good requests, each twice", checkExport)
		add("several at a time", checkExportTogether)
		add("a request of 2 MiB", checkExportLarge)
		add("garbage", checkExportGarbage)
	}
	checks = append(checks,
		check{name: "10,000 requests", run: checkExportMany},
		check{name: "a deadline that passes", run: checkDeadline},
	)
	return kind{checks: checks, call: "Export", one: exportOne}
}

// exportNothing sends an empty request, which is a good one.
func exportNothing(stored signal) func(context.Context, *session, grpc.ClientConnInterface) error {
	return func(ctx context.Context, _ *session, conn grpc.ClientConnInterface) error {
		return export(ctx, conn, stored.method, nil)
	}
}

// exportOne sends a small request of what the plugin stores.
func exportOne(ctx context.Context, s *session, conn grpc.ClientConnInterface) error {
	stored := metrics()
	if !slices.Contains(s.methods, stored.method) {
		stored = logs()
	}
	request, err := stored.sized(1)
	if err != nil {
		return err
	}
	return export(ctx, conn, stored.method, request)
}

// checkSupports finds out what the plugin stores.
func checkSupports(ctx context.Context, s *session) error {
	var wrong []error
	for _, stored := range []signal{metrics(), logs()} {
		err := deliver(ctx, func(ctx context.Context) error { return export(ctx, s.life.conn, stored.method, nil) })
		switch {
		case err == nil:
			s.methods = append(s.methods, stored.method)
		case status.Code(err) != codes.Unimplemented:
			wrong = append(wrong, fmt.Errorf("an empty request of %s: %s, want OK, or UNIMPLEMENTED from a plugin that does not store them", stored.name, told(err)))
		}
	}
	if len(wrong) == 0 && len(s.methods) == 0 {
		return errors.New("it stores neither metrics nor logs")
	}
	return errors.Join(wrong...)
}

func checkExport(ctx context.Context, s *session, stored signal) error {
	requests, err := stored.requests()
	if err != nil {
		return err
	}
	var wrong []error
	for what, request := range requests {
		for _, time := range []string{"the first", "the second"} {
			if err := deliverExport(ctx, s, stored, request); err != nil {
				wrong = append(wrong, fmt.Errorf("%s, %s time: %s", what, time, told(err)))
			}
		}
	}
	return errors.Join(wrong...)
}

func checkExportTogether(ctx context.Context, s *session, stored signal) error {
	requests, err := stored.requests()
	if err != nil {
		return err
	}
	return together(callers, func() error {
		for what, request := range requests {
			if err := deliverExport(ctx, s, stored, request); err != nil {
				return fmt.Errorf("%s: %s", what, told(err))
			}
		}
		return nil
	})
}

func checkExportLarge(ctx context.Context, s *session, stored signal) error {
	one, err := stored.sized(1000)
	if err != nil {
		return err
	}
	request, err := stored.sized(1000*largeBytes/len(one) + 1)
	if err != nil {
		return err
	}
	if err := deliverExport(ctx, s, stored, request); err != nil {
		return fmt.Errorf("%d bytes: %s, want OK: a server takes messages of up to %d bytes", len(request), told(err), sdk.MaxMessageBytes)
	}
	return healthy(ctx, s.life.conn)
}

func checkExportGarbage(ctx context.Context, s *session, stored signal) error {
	good, err := stored.sized(10)
	if err != nil {
		return err
	}
	var wrong []error
	for what, request := range map[string][]byte{
		"bytes that are not protobuf": []byte("\xff\xff\xff\xffthis is not protobuf"),
		"a truncated request":         good[:len(good)-3],
	} {
		err := within(ctx, answerWithin, func(ctx context.Context) error { return export(ctx, s.life.conn, stored.method, request) })
		if !sdk.IsPermanent(err) || strings.HasPrefix(status.Convert(err).Message(), "panic: ") {
			wrong = append(wrong, fmt.Errorf("%s: %s, want INVALID_ARGUMENT: a retry would not help, and nothing panics", what, told(err)))
		}
	}
	return errors.Join(append(wrong, healthy(ctx, s.life.conn))...)
}

// checkExportMany sends many small requests, as many at a time as a queue of the gateway might.
func checkExportMany(ctx context.Context, s *session) error {
	var begun atomic.Int64
	err := together(callers, func() error {
		for begun.Add(1) <= int64(s.many) {
			if err := deliver(ctx, func(ctx context.Context) error { return exportOne(ctx, s, s.life.conn) }); err != nil {
				return fmt.Errorf("of the first %d requests, one: %s", begun.Load(), told(err))
			}
		}
		return nil
	})
	return errors.Join(err, healthy(ctx, s.life.conn))
}

func deliverExport(ctx context.Context, s *session, stored signal, request []byte) error {
	return deliver(ctx, func(ctx context.Context) error { return export(ctx, s.life.conn, stored.method, request) })
}

// together calls f n times at the same time and gives the first error.
func together(n int, f func() error) error {
	var group sync.WaitGroup
	failed := make(chan error, n)
	for range n {
		group.Go(func() { failed <- f() })
	}
	group.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}
