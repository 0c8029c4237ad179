package alertmanager

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/config/common"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/notify/opsgenie"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/common/config"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/lockkeeper/lockkeeper/plugins/notify/channel"
	"github.com/lockkeeper/lockkeeper/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// notifier is Alertmanager's for Opsgenie, which makes two requests of a group that is updated.
func notifier(t *testing.T, answer http.HandlerFunc) *Notifier {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	client, err := channel.HTTP{Allow: []string{"127.0.0.0/8"}}.Client()
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Notification(nil).Stop(context.Background()) })
	api, err := url.Parse(server.URL + "/")
	require.NoError(t, err)
	templates, err := Templates(nil)
	require.NoError(t, err)
	return &Notifier{
		Client: client, API: api, Templates: templates, Text: channel.Clean, Alerts: 5,
		Build: func(g *sdk.Group, t *template.Template, options ...config.HTTPClientOption) (notify.Notifier, error) {
			return opsgenie.New(&opsgenie.OpsGenieConfig{
				HTTPConfig: &config.HTTPClientConfig{}, APIURL: &common.URL{URL: Plain(api)}, APIKey: "k3y",
				Message: Literal(g.GroupLabels["alertname"]), UpdateAlerts: true,
			}, t, slog.New(slog.DiscardHandler), options...)
		},
	}
}

func group(name string) *sdk.Group {
	return &sdk.Group{
		GroupKey: name, Status: "firing", GroupLabels: map[string]string{"alertname": name},
		Alerts: []sdk.GroupAlert{{Status: "firing", Labels: map[string]string{"alertname": name}}},
	}
}

// Several groups at a time: each request is that of its own group, and all of them come.
func TestTogether(t *testing.T) {
	var mu sync.Mutex
	got := map[string]int{}
	n := notifier(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got[r.Header.Get("Idempotency-Key")+" "+r.Method]++
		require.NotEmpty(t, body)
	})
	names := []string{"a", "b", "c", "d", "e", "f"}
	want := map[string]int{}
	var calls sync.WaitGroup
	for _, name := range names {
		want[channel.Key(group(name))+" POST"], want[channel.Key(group(name))+" PUT"] = 1, 2
		calls.Go(func() { require.NoError(t, n.Notify(t.Context(), group(name))) })
	}
	calls.Wait()
	require.Equal(t, want, got)
}

// What fails first is what is told, with its mark.
func TestFailure(t *testing.T) {
	n := notifier(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	err := n.Notify(t.Context(), group("a"))
	require.ErrorContains(t, err, "429")
	require.False(t, sdk.IsPermanent(err))
}

func TestDeadline(t *testing.T) {
	n := notifier(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body) // only then a server notices that its client has gone
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := n.Notify(ctx, group("a"))
	require.Error(t, err)
	require.False(t, sdk.IsPermanent(err), "%v", err)
}

// Notifiers ask the clock whether an alert is over.
func TestOverIsOver(t *testing.T) {
	g := group("a")
	g.Alerts = []sdk.GroupAlert{
		{Status: "resolved", EndsAt: time.Now().Add(time.Hour)},
		{Status: "resolved"},
		{Status: "resolved", EndsAt: time.Unix(1, 0)},
		{Status: "firing", EndsAt: time.Unix(1, 0)},
	}
	for i, a := range alerts(g) {
		require.Equal(t, g.Alerts[i].Status == "resolved", a.Resolved(), "%d", i)
	}
}

func TestTemplates(t *testing.T) {
	templates, err := Templates(nil)
	require.NoError(t, err)
	for _, text := range []string{"", `{{ template "x" }}`, "a\"b`c\\d\n水 }}"} {
		said, err := templates.ExecuteTextString(Literal(text), nil)
		require.NoError(t, err)
		require.Equal(t, text, said)
	}
	_, err = Templates([]string{"["})
	require.ErrorContains(t, err, "templates: ")
	_, err = Templates(nil, "{{ .Nothing }}")
	require.ErrorContains(t, err, "{{ .Nothing }}")
}
