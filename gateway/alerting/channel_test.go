package alerting

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// coded is an error as a plugin's crosses the wire.
func coded(err error) error {
	var status interface{ GRPCStatus() *status.Status }
	if errors.As(err, &status) {
		return status.GRPCStatus().Err()
	}
	return err
}

// An error is tried again when that may help, and soon; a group that is refused has its turn again at the group interval.
func TestRetries(t *testing.T) {
	chat := serve(t, "notification")
	calls := map[string]*atomic.Int64{"Later": {}, "Never": {}}
	chat.fail = func(g *sdk.Group) error {
		name := g.GroupLabels["alertname"]
		switch n := calls[name].Add(1); {
		case name == "Later" && n < 3:
			return status.Error(codes.Unavailable, "just now not")
		case name == "Never":
			return coded(sdk.Permanent(errors.New("no such channel")))
		}
		return nil
	}
	g := newGateway(t, "route: {receiver: team, group_by: [alertname], group_wait: 0s, group_interval: 1h}\n"+
		"receivers: [{name: team, plugin_configs: [{plugin: chat}]}]\n", map[string]*plugin{"chat": chat})
	g.start(t)
	g.post(t, `[{"labels":{"alertname":"Never"}},{"labels":{"alertname":"Later"}}]`)
	require.Equal(t, "Later", chat.next(t).GroupLabels["alertname"])
	require.EqualValues(t, 3, calls["Later"].Load())
	require.EqualValues(t, 1, calls["Never"].Load())
	require.Contains(t, g.ask(http.MethodGet, "/metrics", "").Body.String(),
		`alertmanager_notifications_failed_total{integration="plugin/chat",reason="clientError"} 1`)
}

// A plugin that asks for a pause has it from all groups.
func TestPause(t *testing.T) {
	const pause = 1500 * time.Millisecond
	chat := serve(t, "notification")
	var asked atomic.Int64
	var early atomic.Bool
	chat.fail = func(*sdk.Group) error {
		since := time.Duration(time.Now().UnixNano() - asked.Load())
		if asked.CompareAndSwap(0, time.Now().UnixNano()) {
			return coded(sdk.Retryable(errors.New("slow down"), pause))
		}
		if since < pause {
			early.Store(true)
		}
		return nil
	}
	g := newGateway(t, quick, map[string]*plugin{"chat": chat})
	g.start(t)
	g.post(t, `[{"labels":{"alertname":"One"}}]`)
	require.Eventually(t, func() bool { return asked.Load() != 0 }, patience, time.Millisecond)
	require.Eventually(t, func() bool { // its answer has come
		return g.log.FilterMessageSnippet("will retry later").Len() > 0
	}, patience, time.Millisecond)
	g.post(t, `[{"labels":{"alertname":"Two"}}]`)
	require.NotEqual(t, chat.next(t).GroupKey, chat.next(t).GroupKey)
	require.False(t, early.Load())
}

// What a plugin has taken while the gateway was told to stop is not told again.
func TestStopWhileTelling(t *testing.T) {
	chat := serve(t, "notification")
	telling, stopping := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	chat.fail = func(*sdk.Group) error {
		if first.CompareAndSwap(false, true) {
			close(telling)
			<-stopping
			time.Sleep(100 * time.Millisecond) // as a slow service would take
		}
		return nil
	}
	g := newGateway(t, quick, map[string]*plugin{"chat": chat})
	stop := g.start(t)
	g.post(t, `[{"labels":{"alertname":"One"}}]`)
	<-telling
	close(stopping)
	stop()
	require.Equal(t, "One", chat.next(t).GroupLabels["alertname"])
	g.start(t)
	g.post(t, `[{"labels":{"alertname":"One"}},{"labels":{"alertname":"Two"}}]`)
	require.Equal(t, "Two", chat.next(t).GroupLabels["alertname"])
	require.Empty(t, chat.groups)
}

// What hangs does not keep the gateway.
func TestStopWhileHung(t *testing.T) {
	d := delivery{patience: 10 * time.Millisecond}
	d.telling.RLock()
	d.stop()
	d.telling.RUnlock()
	require.Eventually(t, func() bool {
		d.telling.RLock()
		defer d.telling.RUnlock()
		return d.stopped
	}, patience, time.Millisecond)
	_, _, err := d.remembering(nil, nil).Exec(t.Context(), nil)
	require.ErrorIs(t, err, context.Canceled, "whoever begins now is too late")
}

// max_alerts bounds a notification, and the plugin is told how many more there are.
func TestMaxAlerts(t *testing.T) {
	chat := serve(t, "notification")
	g := newGateway(t, "route: {receiver: team, group_wait: 100ms}\nreceivers: [{name: team, plugin_configs: [{plugin: chat, max_alerts: 1}]}]\n",
		map[string]*plugin{"chat": chat})
	g.start(t)
	g.post(t, `[{"labels":{"alertname":"One"}},{"labels":{"alertname":"Two"}},{"labels":{"alertname":"Three"}}]`)
	group := chat.next(t)
	require.Len(t, group.Alerts, 1)
	require.EqualValues(t, 2, group.TruncatedAlerts)
}

// A group that the wire does not carry is cut.
func TestLargeGroup(t *testing.T) {
	chat := serve(t, "notification")
	g := newGateway(t, "route: {receiver: team, group_wait: 1s}\nreceivers: [{name: team, plugin_configs: [{plugin: chat}]}]\n", map[string]*plugin{"chat": chat})
	g.start(t)
	alerts := make([]*alert.Alert, 100)
	for i := range alerts {
		alerts[i] = firing(fmt.Sprint(i))
		alerts[i].Annotations = model.LabelSet{"log": model.LabelValue(strings.Repeat("x", alertBytes-100))}
	}
	require.NoError(t, g.alerting.state.intake.Put(t.Context(), alerts...))
	group := chat.next(t)
	require.Greater(t, len(group.Alerts), 25)
	require.EqualValues(t, 100-len(group.Alerts), group.TruncatedAlerts)
}

// Without a file whoever is configured is told.
func TestDefaultFile(t *testing.T) {
	f, err := defaultFile([]string{"chat", "phone"})
	require.NoError(t, err)
	require.Equal(t, []pluginConfig{newPluginConfig("chat"), newPluginConfig("phone")}, f.plugins[f.Route.Receiver])
	require.Equal(t, []string{"alertname"}, f.Route.GroupByStr)
	g := newGateway(t, quick, map[string]*plugin{"chat": serve(t, "notification")})
	g.cfg.ConfigFile = ""
	g.start(t)
	require.JSONEq(t, `[{"name":"default","labels":{"name":"default"}}]`, g.ask(http.MethodGet, "/api/v2/receivers", "").Body.String())
}

// A storm is told of as far as the limit lets it, and that there is more is told as an alert of its own.
func TestRateLimit(t *testing.T) {
	chat := serve(t, "notification")
	g := newGateway(t, strings.Replace(quick, "plugin: chat", "plugin: chat, rate_limit: 2/h", 1), map[string]*plugin{"chat": chat})
	g.start(t)
	for n := range 5 {
		g.post(t, fmt.Sprintf(`[{"labels":{"alertname":"Storm%d"}}]`, n))
	}
	told := map[string]int{}
	for told["NotificationsSuppressed"] == 0 {
		group := chat.next(t)
		told[group.GroupLabels["alertname"]]++
		if group.GroupLabels["alertname"] == "NotificationsSuppressed" {
			require.Regexp(t, `^[0-9]+ notifications suppressed$`, group.CommonAnnotations["summary"])
			require.Equal(t, map[string]string{"alertname": "NotificationsSuppressed", "receiver": "team", "plugin": "chat", "severity": "ticket", "owner": "platform"}, group.CommonLabels)
		}
	}
	require.Len(t, told, 3)
	require.Contains(t, g.ask(http.MethodGet, "/metrics", "").Body.String(),
		`alertmanager_notifications_failed_total{integration="plugin/chat",reason="rateLimited"}`)
}

func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(rateLimit{"2/m", 2, time.Minute})
		group := []*alert.Alert{firing("One")}
		require.NoError(t, l.admit(group))
		require.NoError(t, l.admit(group))
		require.Nil(t, l.alert("team", "chat"))
		require.ErrorContains(t, l.admit(group), "more than 2/m notifications")
		require.ErrorContains(t, l.admit(group), "next group interval")
		require.Equal(t, "2 notifications suppressed", l.alert("team", "chat").Annotations["summary"])
		require.NoError(t, l.admit([]*alert.Alert{firing(suppressedAlert)}))
		time.Sleep(30 * time.Second)
		require.NoError(t, l.admit(group))
		require.Error(t, l.admit(group))
		time.Sleep(suppressedQuiet)
		require.Equal(t, "3 notifications suppressed", l.alert("team", "chat").Annotations["summary"])
		time.Sleep(time.Second)
		require.Nil(t, l.alert("team", "chat"))
		require.NoError(t, newLimiter(rateLimit{}).admit(group))
	})
}
