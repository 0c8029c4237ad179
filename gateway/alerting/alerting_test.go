package alerting

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// What is posted is told of as Alertmanager's webhook tells, and its end is, too.
func TestPostedAlert(t *testing.T) {
	chat := serve(t, "notification")
	g := newGateway(t, quick, map[string]*plugin{"chat": chat})
	g.start(t)
	g.post(t, `[{"labels":{"alertname":"Hot","severity":"page"},"annotations":{"summary":"too hot"},"generatorURL":"http://prom/graph"}]`)
	group := chat.next(t)
	require.Equal(t, "firing", group.Status)
	require.Equal(t, "team", group.Receiver)
	require.Equal(t, `{}:{alertname="Hot"}`, group.GroupKey)
	require.Equal(t, "4", group.Version)
	require.Equal(t, "http://localhost:7070", group.ExternalURL)
	require.Equal(t, map[string]string{"alertname": "Hot", "severity": "page"}, group.Alerts[0].Labels)
	require.Equal(t, map[string]string{"summary": "too hot"}, group.CommonAnnotations)
	require.True(t, group.Alerts[0].EndsAt.IsZero())
	answer := g.ask(http.MethodGet, "/api/v2/alerts", "")
	require.Contains(t, answer.Body.String(), `"receivers":[{"name":"team"}]`)

	g.post(t, fmt.Sprintf(`[{"labels":{"alertname":"Hot","severity":"page"},"endsAt":%q}]`, time.Now().Add(-time.Second).Format(time.RFC3339Nano)))
	group = chat.next(t)
	require.Equal(t, "resolved", group.Status)
	require.Equal(t, `{}:{alertname="Hot"}`, group.GroupKey)
}

// A plugin's alerts come as a stream, from rules that are evaluated where the storage is.
func TestAlertOfAPlugin(t *testing.T) {
	chat, rules := serve(t, "notification"), serve(t, "alerting")
	over := make(chan struct{})
	rules.evaluate = func(r *pluginv1.StartRequest, stream grpc.ServerStreamingServer[pluginv1.Alerts]) error {
		if r.GetQueryUrl() != "http://storage" || r.GetRemoteWriteUrl() != "http://storage/write" {
			return fmt.Errorf("started with %v", r)
		}
		fires := &pluginv1.Alert{Labels: map[string]string{"alertname": "Slow", "empty": ""}}
		none := &pluginv1.Alert{Annotations: map[string]string{"summary": "an alert without labels"}}
		if err := stream.Send(&pluginv1.Alerts{Alerts: []*pluginv1.Alert{none, fires}}); err != nil {
			return err
		}
		select {
		case <-over:
			fires.EndsAt, fires.StartsAt = timestamp(time.Now()), timestamp(time.Now().Add(-time.Minute))
			return stream.Send(&pluginv1.Alerts{Alerts: []*pluginv1.Alert{fires}})
		case <-stream.Context().Done():
			return nil
		}
	}
	g := newGateway(t, quick, map[string]*plugin{"chat": chat, "rules": rules, "disk": serve(t, "storage")})
	g.start(t)
	group := chat.next(t)
	require.Equal(t, map[string]string{"alertname": "Slow"}, group.Alerts[0].Labels)
	close(over)
	require.Equal(t, "resolved", chat.next(t).Status)
	require.GreaterOrEqual(t, g.count(t, "lockkeeper_alerting_alerts_received_total", "plugin/rules"), int64(1))
	require.GreaterOrEqual(t, g.count(t, "lockkeeper_alerting_alerts_invalid_total", "plugin/rules"), int64(1))
}

// What the gateway itself knows needs neither storage nor rules.
func TestAlertOfTheGateway(t *testing.T) {
	chat := serve(t, "notification")
	g := newGateway(t, quick, map[string]*plugin{"chat": chat})
	g.part.say(sdk.Alert{Labels: map[string]string{"alertname": "PluginDown", "plugin": "disk"}, StartsAt: time.Now()})
	g.start(t)
	group := chat.next(t)
	require.Equal(t, "firing", group.Status)
	require.Equal(t, "disk", group.Alerts[0].Labels["plugin"])
	g.part.say()
	require.Equal(t, "resolved", chat.next(t).Status)
}

// Alertmanager's own metrics are served as Alertmanager serves them.
func TestMetrics(t *testing.T) {
	chat := serve(t, "notification")
	g := newGateway(t, quick, map[string]*plugin{"chat": chat})
	g.start(t)
	g.post(t, `[{"labels":{"alertname":"Hot"}}]`)
	chat.next(t)
	require.Eventually(t, func() bool {
		return strings.Contains(g.ask(http.MethodGet, "/metrics", "").Body.String(), `alertmanager_notifications_total{integration="plugin/chat"} 1`)
	}, patience, 10*time.Millisecond)
}

// Every mistake that keeps alerting from its start says what to do.
func TestStartFails(t *testing.T) {
	f := func(text, want string, change func(*gateway)) {
		t.Helper()
		g := newGateway(t, text, map[string]*plugin{"chat": serve(t, "notification"), "disk": serve(t, "storage")})
		if change != nil {
			change(g)
		}
		_, err := g.try(t)
		require.ErrorContains(t, err, want)
	}
	f("route: {receiver: a}\nreceivers:\n- name: a\n  plugin_configs:\n  - plugin: phone\n",
		`alertmanager.yml:5: no notification plugin "phone" in extension plugins: there are chat`, nil)
	f("route: {receiver: a}\nreceivers: [{name: a, plugin_configs: [{plugin: disk}]}]\n", `no notification plugin "disk"`, nil)
	f("route: {receiver: a}\nreceivers: [{name: a}]\ntemplates: [bad.tmpl]\n", `templates:`, func(g *gateway) {
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(g.cfg.ConfigFile), "bad.tmpl"), []byte("{{ define"), 0o600))
	})
	f(quick, "data_directory: ", func(g *gateway) { g.cfg.DataDirectory = filepath.Join(g.cfg.ConfigFile, "below") })
}
