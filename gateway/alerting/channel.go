package alerting

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/notify/webhook"
	"github.com/prometheus/alertmanager/template"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// callsAtOnce bounds the calls of a plugin that are under way, and with them the groups that are in memory as text.
const callsAtOnce = 32

// groupBytes bounds a group as text, like all requests of the gateway to a plugin.
const groupBytes = 2 << 20

// finish is how long a call under way may still take when the gateway stops or has a new configuration.
const finish = 5 * time.Second

// channel tells a notification plugin of groups.
type channel struct {
	config    pluginConfig
	plugin    pluginv1.NotificationClient
	templates *template.Template
	log       *slog.Logger
	slots     chan struct{} // callsAtOnce
	receiver  string
	limiter   *limiter

	mu       sync.Mutex
	earliest time.Time // before which the plugin has asked not to be called
}

func newChannel(receiver string, config pluginConfig, plugin pluginv1.NotificationClient, templates *template.Template, log *slog.Logger) *channel {
	return &channel{
		config: config, plugin: plugin, templates: templates, log: log, slots: make(chan struct{}, callsAtOnce),
		receiver: receiver, limiter: newLimiter(config.RateLimit),
	}
}

// Alerts implements watched.
func (c *channel) Alerts() []sdk.Alert {
	if a := c.limiter.alert(c.receiver, c.config.Plugin); a != nil {
		return []sdk.Alert{*a}
	}
	return nil
}

// Notify implements notify.Notifier.
func (c *channel) Notify(ctx context.Context, alerts ...*alert.Alert) (retry bool, err error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return true, notify.NewErrorWithReason(notify.ContextDeadlineExceededReason,
			fmt.Errorf("plugin %s has had %d calls under way all the time", c.config.Plugin, callsAtOnce))
	}
	if err := c.wait(ctx); err != nil {
		return true, err
	}
	if err := c.limiter.admit(alerts); err != nil {
		return false, notify.NewErrorWithReason(notify.RateLimitedReason, err)
	}
	group, err := c.group(ctx, alerts)
	if err != nil {
		return false, err
	}
	// What the other side has taken must get into the notification log, so a call ends a little later than what it is part of.
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.config.Timeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(finish, cancel) })()
	if _, err = c.plugin.Notify(call, &pluginv1.NotifyRequest{Group: group}); err == nil {
		return false, nil
	}
	s := status.Convert(err)
	c.postpone(s)
	return !sdk.IsPermanent(err), notify.NewErrorWithReason(reason(s.Code()), fmt.Errorf("plugin %s: %s: %s", c.config.Plugin, s.Code(), s.Message()))
}

// group is the group as Alertmanager's webhook sends it, with as many of its alerts as the configuration and the wire allow.
func (c *channel) group(ctx context.Context, alerts []*alert.Alert) ([]byte, error) {
	key, err := notify.ExtractGroupKey(ctx)
	if err != nil {
		return nil, err
	}
	most := len(alerts)
	if c.config.MaxAlerts > 0 {
		most = min(most, c.config.MaxAlerts)
	}
	for {
		text, err := json.Marshal(&webhook.Message{
			Version: "4", Data: notify.GetTemplateData(ctx, c.templates, alerts[:most], c.log), GroupKey: key.String(),
			TruncatedAlerts: uint64(len(alerts) - most),
		})
		if err != nil || len(text) <= groupBytes || most == 1 {
			return text, err
		}
		most = max(1, min(most-1, most*groupBytes/len(text)))
	}
}

// wait returns when the plugin may be called.
func (c *channel) wait(ctx context.Context) error {
	c.mu.Lock()
	earliest := c.earliest
	c.mu.Unlock()
	delay := time.Until(earliest)
	if delay <= 0 {
		return nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return notify.NewErrorWithReason(notify.RateLimitedReason,
			fmt.Errorf("plugin %s asked to be called not before %s", c.config.Plugin, earliest.Format(time.RFC3339)))
	}
}

// postpone keeps what the plugin has asked for: whoever limits one group limits all.
func (c *channel) postpone(s *status.Status) {
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			c.mu.Lock()
			c.earliest = time.Now().Add(info.GetRetryDelay().AsDuration())
			c.mu.Unlock()
		}
	}
}

// reason is what Alertmanager's metrics call it.
func reason(code codes.Code) notify.Reason {
	switch code {
	case codes.ResourceExhausted:
		return notify.RateLimitedReason
	case codes.DeadlineExceeded:
		return notify.ContextDeadlineExceededReason
	case codes.Canceled:
		return notify.ContextCanceledReason
	case codes.Unauthenticated, codes.PermissionDenied:
		return notify.AuthErrorReason
	case codes.Unavailable, codes.Internal, codes.Unknown, codes.Aborted, codes.DataLoss, codes.Unimplemented:
		return notify.ServerErrorReason
	case codes.InvalidArgument, codes.FailedPrecondition, codes.NotFound, codes.AlreadyExists, codes.OutOfRange:
		return notify.ClientErrorReason
	}
	return notify.DefaultReason
}
