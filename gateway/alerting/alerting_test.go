package alerting

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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

// A plugin whose rules no longer fire after a restart says so by silence, but only when it is well.
func TestRulesSettle(t *testing.T) {
	chat, rules := serve(t, "notification"), serve(t, "alerting")
	var fires, well atomic.Bool
	fires.Store(true)
	rules.health = func() error {
		if !well.Load() {
			return status.Error(codes.Unavailable, "the storage does not answer")
		}
		return nil
	}
	rules.evaluate = func(_ *pluginv1.StartRequest, stream grpc.ServerStreamingServer[pluginv1.Alerts]) error {
		if fires.Load() {
			if err := stream.Send(&pluginv1.Alerts{Alerts: []*pluginv1.Alert{{Labels: map[string]string{"alertname": "Slow"}}}}); err != nil {
				return err
			}
		}
		<-stream.Context().Done()
		return nil
	}
	g := newGateway(t, quick, map[string]*plugin{"chat": chat, "rules": rules, "disk": serve(t, "storage")})
	stop := g.start(t)
	require.Equal(t, "firing", chat.next(t).Status)
	stop()
	fires.Store(false)
	g.settling = 50 * time.Millisecond
	g.start(t)
	g.post(t, `[{"labels":{"alertname":"Other"}}]`)
	require.Equal(t, "Other", chat.next(t).GroupLabels["alertname"])
	well.Store(true)
	require.Equal(t, "resolved", chat.next(t).Status)
}

// An existing file, with Alertmanager's own receivers, templates and inhibition, works as it is.
func TestExistingFile(t *testing.T) {
	sent := make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent <- string(body)
	}))
	defer hook.Close()
	g := newGateway(t, fmt.Sprintf(`
templates: [own.tmpl]
route: {receiver: team, group_by: [alertname], group_wait: 0s, routes: [{matchers: ['alertname="Night"'], receiver: team, mute_time_intervals: [always]}]}
time_intervals: [{name: always, time_intervals: [{times: [{start_time: "00:00", end_time: "24:00"}]}]}]
inhibit_rules: [{source_matchers: ['alertname="Down"'], target_matchers: ['severity="ticket"'], equal: [idc]}]
receivers:
- name: team
  slack_configs: [{api_url: %q, channel: '#ops', text: '{{ template "own" . }}'}]
`, hook.URL), nil)
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(g.cfg.ConfigFile), "own.tmpl"), []byte(`{{ define "own" }}own text of {{ .GroupLabels.alertname }}{{ end }}`), 0o600))
	g.start(t)
	g.post(t, `[{"labels":{"alertname":"Down","idc":"a"}}]`)
	require.Contains(t, <-sent, "own text of Down")
	g.post(t, `[{"labels":{"alertname":"Errors","severity":"ticket","idc":"a"}},{"labels":{"alertname":"Night"}},{"labels":{"alertname":"Errors","severity":"ticket","idc":"b"}}]`)
	require.Contains(t, <-sent, "own text of Errors")
	require.Eventually(t, func() bool {
		return strings.Contains(g.ask(http.MethodGet, "/metrics", "").Body.String(), `alertmanager_notifications_suppressed_total{reason="mute_time_interval"} 1`)
	}, patience, 10*time.Millisecond)
	require.Contains(t, g.ask(http.MethodGet, "/api/v2/alerts?filter=idc%3Da", "").Body.String(), `"inhibitedBy":["`)
	require.Empty(t, sent)
}

// A silence that is not on disk is not answered for.
func TestSilenceNotOnDisk(t *testing.T) {
	f := func(err error, wantCode int, want string) {
		t.Helper()
		recorder := httptest.NewRecorder()
		k := &keeping{ResponseWriter: recorder, keep: func() error { return err }}
		_, _ = io.WriteString(k, "done")
		require.Equal(t, wantCode, recorder.Code)
		require.Contains(t, recorder.Body.String(), want)
	}
	f(nil, http.StatusOK, "done")
	f(errors.New("the disk is full"), http.StatusInternalServerError, "it holds, but is not on disk: the disk is full\n")
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

// What looks for an Alertmanager finds one, and whoever follows its address finds the console.
func TestAddress(t *testing.T) {
	g := newGateway(t, quick, map[string]*plugin{"chat": serve(t, "notification")})
	g.start(t)
	f := func(path, want string) {
		t.Helper()
		answer := g.ask(http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, answer.Code, path)
		require.Contains(t, answer.Body.String(), want)
	}
	f("/-/healthy", "OK")
	f("/-/ready", "OK")
	f("/", "http://localhost:7070")
	f("/api/v2/status", `"config":{"original":"`)
	require.Equal(t, http.StatusNotFound, g.ask(http.MethodGet, "/api/v1/status", "").Code)
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
	f(quick, `storage: no storage plugin "tape" in extension plugins: it has disk`, func(g *gateway) { g.cfg.Storage = "tape" })
	f(quick, "data_directory: ", func(g *gateway) { g.cfg.DataDirectory = filepath.Join(g.cfg.ConfigFile, "below") })
}
