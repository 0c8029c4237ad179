package alerting

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/common/model"
	"go.uber.org/zap"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

const (
	infoDeadline = 5 * time.Second

	backoffFirst = 250 * time.Millisecond
	backoffMost  = 30 * time.Second
	backoffReset = time.Minute // of evaluation after which earlier failures are forgotten

	// settling is when an alerting plugin has sent each alert that fires: it does so once a minute at least.
	settling = 75 * time.Second
)

// evaluate has an alerting plugin evaluate its rules, and takes what it sends, until ctx ends. It never gives up.
func (a *alerting) evaluate(ctx context.Context, plugin string) {
	told := ""
	for failures := 0; ctx.Err() == nil; failures++ {
		began := time.Now()
		err := a.stream(ctx, plugin)
		a.metrics.evaluating(plugin, false)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > backoffReset {
			failures, told = 0, ""
		}
		if text := err.Error(); text != told { // once, not each time
			a.log.Error("no rules are evaluated, trying again", zap.String("plugin", plugin), zap.String("error", text))
			told = text
		}
		delay := min(backoffMost, backoffFirst<<min(failures, 10))
		select {
		case <-time.After(delay - time.Duration(rand.Float64()*float64(delay)/2)):
		case <-ctx.Done():
		}
	}
}

// stream takes the alerts of one call. It returns why that has ended.
func (a *alerting) stream(ctx context.Context, plugin string) error {
	on, err := a.evaluatedOn(ctx)
	if err != nil {
		return err
	}
	conn, err := a.plugins.Conn(plugin)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	source := fromPlugin + plugin
	stream, err := pluginv1.NewAlertingClient(conn).Start(ctx, &pluginv1.StartRequest{QueryUrl: on.GetQueryUrl(), RemoteWriteUrl: on.GetRemoteWriteUrl()})
	if err != nil {
		return plain(err)
	}
	a.running.Go(func() { a.settle(ctx, pluginv1.NewPluginClient(conn), source) })
	a.metrics.evaluating(plugin, true)
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("plugin %s has ended the evaluation", plugin)
		}
		if err != nil {
			return fmt.Errorf("plugin %s: %w", plugin, plain(err))
		}
		a.report(a.take(ctx, source, message.GetAlerts()))
	}
}

// settle ends what was restored and is not sent again, once the plugin has had its time and says that it can work: one whose
// queries fail has nothing to say of what fires.
func (a *alerting) settle(ctx context.Context, plugin pluginv1.PluginClient, source string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(a.settling):
		}
		health, cancel := context.WithTimeout(ctx, infoDeadline)
		_, err := plugin.Health(health, &pluginv1.HealthRequest{})
		cancel()
		if err == nil {
			a.report(a.state.intake.settle(ctx, source))
			return
		}
	}
}

// evaluatedOn says where the storage is.
func (a *alerting) evaluatedOn(ctx context.Context) (*pluginv1.InfoResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, infoDeadline)
	defer cancel()
	var errs []error
	for _, name := range a.plugins.Plugins("storage") {
		if a.cfg.Storage != "" && a.cfg.Storage != name {
			continue
		}
		conn, err := a.plugins.Conn(name)
		if err != nil {
			return nil, err
		}
		info, err := pluginv1.NewPluginClient(conn).Info(ctx, &pluginv1.InfoRequest{})
		metrics := len(info.GetSignals()) == 0 || slices.Contains(info.GetSignals(), "metrics")
		if err == nil && info.GetQueryUrl() != "" && metrics {
			return info, nil
		}
		if err != nil {
			errs = append(errs, plain(err))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return nil, errors.New("no storage plugin for metrics has a query API to evaluate rules on")
}

// take puts the alerts of a plugin in. Those that are none are counted and left out.
func (a *alerting) take(ctx context.Context, source string, sent []*pluginv1.Alert) error {
	alerts, err := a.alertsOf(sent)
	if len(sent) > len(alerts) {
		a.metrics.invalid(source, len(sent)-len(alerts))
	}
	return errors.Join(err, a.state.intake.Put(from(ctx, source), alerts...))
}

func (a *alerting) alertsOf(sent []*pluginv1.Alert) (alerts []*alert.Alert, err error) {
	now := time.Now()
	for _, s := range sent {
		converted := &alert.Alert{
			Alert: model.Alert{
				Labels: labels(s.GetLabels()), Annotations: labels(s.GetAnnotations()),
				StartsAt: instant(s.GetStartsAt()), EndsAt: instant(s.GetEndsAt()), GeneratorURL: s.GetGeneratorUrl(),
			},
			UpdatedAt: now,
		}
		if converted.StartsAt.IsZero() {
			converted.StartsAt = now
		}
		if converted.EndsAt.IsZero() {
			converted.EndsAt, converted.Timeout = now.Add(a.resolveTimeout()), true
		}
		if invalid := converted.Validate(); invalid != nil {
			err = fmt.Errorf("an alert is none: %w", invalid)
			continue
		}
		alerts = append(alerts, converted)
	}
	return alerts, err
}

// labels leaves empty ones out: they are the same as none.
func labels(from map[string]string) model.LabelSet {
	set := make(model.LabelSet, len(from))
	for name, value := range from {
		if value != "" {
			set[model.LabelName(name)] = model.LabelValue(value)
		}
	}
	return set
}

func instant(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// plain strips gRPC's decoration from an error: people read it.
func plain(err error) error {
	if s, ok := status.FromError(err); ok {
		return errors.New(s.Message())
	}
	return err
}
