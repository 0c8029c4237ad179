package sdktest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

const unknownKey = "no_such_key"

// beginning is what is asked of a plugin of any kind first, until it is known which it is.
func (s *session) beginning() []check {
	return []check{
		{name: "handshake", needs: processes, vital: true, run: checkHandshake},
		{name: "before Configure", needs: unconfigured, run: checkBeforeConfigure},
		{name: "wrong configuration", needs: unconfigured, run: checkWrongConfig},
		{name: "Configure", vital: true, run: checkConfigure},
		{name: "the same Configure again", run: checkConfigureAgain},
		{name: "another Configure", run: checkConfigureOther},
		{name: "Info", vital: true, run: checkInfo},
		{name: "Health", run: func(ctx context.Context, s *session) error { return healthy(ctx, s.life.conn) }},
	}
}

// ending is what is asked of a plugin of any kind last.
func (s *session) ending() []check {
	return append([]check{{name: "Stop", needs: ending, run: checkStop}}, processChecks()...)
}

// checkHandshake starts a process and ends it.
func checkHandshake(ctx context.Context, s *session) error {
	return s.fresh(ctx, func(*plugin) error { return nil })
}

// checkBeforeConfigure makes each call of each kind: a plugin does not have those of the others.
func checkBeforeConfigure(ctx context.Context, s *session) error {
	return s.fresh(ctx, func(p *plugin) error {
		client := pluginv1.NewPluginClient(p.conn)
		var wrong []error
		refused := func(what string, err error, others ...codes.Code) {
			for _, code := range append(others, codes.FailedPrecondition) {
				if status.Code(err) == code {
					return
				}
			}
			wrong = append(wrong, fmt.Errorf("%s before Configure: %s, want FAILED_PRECONDITION", what, told(err)))
		}
		call := func(f func(ctx context.Context) error) error { return within(ctx, answerWithin, f) }
		refused("Info", call(func(ctx context.Context) error {
			_, err := client.Info(ctx, new(pluginv1.InfoRequest))
			return err
		}))
		refused("Health", call(func(ctx context.Context) error {
			_, err := client.Health(ctx, new(pluginv1.HealthRequest))
			return err
		}))
		for what, f := range map[string]func(context.Context, *session, grpc.ClientConnInterface) error{
			"Export of metrics": exportNothing(metrics()), "Export of logs": exportNothing(logs()), "Notify": notifyOne, "Start": startOne,
		} {
			refused(what, call(func(ctx context.Context) error { return f(ctx, s, p.conn) }), codes.Unimplemented)
		}
		if !s.address {
			if err := within(ctx, stopWithin, func(ctx context.Context) error { return stop(ctx, p.conn) }); err != nil {
				wrong = append(wrong, fmt.Errorf("a Stop before Configure: %s, want OK", told(err)))
			}
		}
		return errors.Join(wrong...)
	})
}

func checkWrongConfig(ctx context.Context, s *session) error {
	return s.fresh(ctx, func(p *plugin) error {
		err := s.configureOnce(ctx, p.conn, s.otherConfig())
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(status.Convert(err).Message(), unknownKey) {
			return fmt.Errorf("a Configure with the unknown key %q: %s, want INVALID_ARGUMENT and the key's name", unknownKey, told(err))
		}
		return nil
	})
}

// otherConfig is another configuration than the plugin's, with an unknown key.
func (s *session) otherConfig() map[string]any {
	other := map[string]any{unknownKey: 1}
	maps.Copy(other, s.config)
	return other
}

// checkConfigure begins the life that the next checks share.
func checkConfigure(ctx context.Context, s *session) error {
	p, err := s.connect(ctx)
	if err != nil {
		return err
	}
	s.life = p
	err = s.configure(ctx, p.conn, s.config)
	switch {
	case err == nil:
		return nil
	case status.Code(err) == codes.InvalidArgument:
		return fmt.Errorf("%s: the suite needs a configuration that the plugin accepts", told(err))
	case s.taken && status.Code(err) == codes.FailedPrecondition:
		return fmt.Errorf("%s: check it with the configuration that it has, or restart it", told(err))
	}
	return errors.New(told(err))
}

func checkConfigureAgain(ctx context.Context, s *session) error {
	if err := s.configure(ctx, s.life.conn, s.config); err != nil {
		return fmt.Errorf("%s, want OK: a gateway configures on each connection that it makes", told(err))
	}
	return healthy(ctx, s.life.conn)
}

func checkConfigureOther(ctx context.Context, s *session) error {
	err := s.configureOnce(ctx, s.life.conn, s.otherConfig())
	if status.Code(err) != codes.FailedPrecondition {
		return fmt.Errorf("%s, want FAILED_PRECONDITION: the settings of a plugin stay until it is restarted", told(err))
	}
	return healthy(ctx, s.life.conn)
}

func checkInfo(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	info, err := pluginv1.NewPluginClient(s.life.conn).Info(ctx, new(pluginv1.InfoRequest))
	if err != nil {
		return errors.New(told(err))
	}
	switch kind := info.GetKind(); {
	case s.kind != "" && kind != s.kind:
		return fmt.Errorf("kind is %q, want %q", kind, s.kind)
	case kind != "storage" && kind != "notification" && kind != "alerting":
		return fmt.Errorf("kind is %q, want storage, notification or alerting", kind)
	default:
		s.kind = kind
	}
	var wrong []error
	for what, address := range map[string]string{"query_url": info.GetQueryUrl(), "remote_write_url": info.GetRemoteWriteUrl()} {
		if address == "" {
			continue
		}
		if u, err := url.Parse(address); err != nil || u.Host == "" || strings.HasSuffix(address, "/") {
			wrong = append(wrong, fmt.Errorf("%s is %q, want a URL without a slash at the end", what, address))
		}
	}
	return errors.Join(wrong...)
}

func healthy(ctx context.Context, conn grpc.ClientConnInterface) error {
	err := deliver(ctx, func(ctx context.Context) error {
		_, err := pluginv1.NewPluginClient(conn).Health(ctx, new(pluginv1.HealthRequest))
		return err
	})
	if err != nil {
		return fmt.Errorf("its Health is %s", told(err))
	}
	return nil
}

// checkStop ends the life that Configure began, and a call that would go on.
func checkStop(ctx context.Context, s *session) error {
	kind, conn := s.kindOf(), s.life.conn
	held := func() error { return nil }
	if kind.hold != nil {
		holding, release := context.WithCancel(ctx)
		defer release()
		held = kind.hold(holding, s, conn)
	}
	if err := within(ctx, stopWithin, func(ctx context.Context) error { return stop(ctx, conn) }); err != nil {
		return fmt.Errorf("%s; after %v the process is killed", told(err), stopWithin)
	}
	var wrong []error
	if err := held(); err != nil && !retryable(err) {
		wrong = append(wrong, fmt.Errorf("%s under way at Stop: %s, want its end, without an error or with one that is retryable", kind.call, told(err)))
	}
	err := within(ctx, answerWithin, func(ctx context.Context) error { return kind.one(ctx, s, conn) })
	if err == nil || !retryable(err) {
		wrong = append(wrong, fmt.Errorf("%s after Stop: %s, want UNAVAILABLE: what comes after this process may take it", kind.call, told(err)))
	}
	if err := within(ctx, answerWithin, func(ctx context.Context) error { return stop(ctx, conn) }); err != nil {
		wrong = append(wrong, fmt.Errorf("a second Stop: %s, want OK", told(err)))
	}
	wrong = append(wrong, s.life.close())
	s.life = nil
	return errors.Join(wrong...)
}

func stop(ctx context.Context, conn grpc.ClientConnInterface) error {
	_, err := pluginv1.NewPluginClient(conn).Stop(ctx, new(pluginv1.StopRequest))
	return err
}
