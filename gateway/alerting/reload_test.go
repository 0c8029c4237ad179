package alerting

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// A file that has changed is at work in seconds; one with mistakes changes nothing.
func TestReload(t *testing.T) {
	chat, phone := serve(t, "notification"), serve(t, "notification")
	g := newGateway(t, quick, map[string]*plugin{"chat": chat, "phone": phone})
	g.start(t)
	rewrite := func(text string) {
		require.NoError(t, os.WriteFile(g.cfg.ConfigFile+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(g.cfg.ConfigFile+".new", g.cfg.ConfigFile))
	}
	until := func(line string, good int64) {
		t.Helper()
		require.Eventually(t, func() bool {
			m, err := g.telemetry.GetMetric("lockkeeper_alerting_config_last_reload_successful")
			return err == nil && m.Data.(metricdata.Gauge[int64]).DataPoints[0].Value == good && g.log.FilterMessageSnippet(line).Len() > 0
		}, patience, 10*time.Millisecond)
	}
	rewrite(strings.Replace(quick, "plugin: chat", "plugin: fax", 1))
	until("has mistakes", 0)
	g.post(t, `[{"labels":{"alertname":"One"}}]`)
	require.Equal(t, "One", chat.next(t).GroupLabels["alertname"])
	// a template of its own
	tmpl := filepath.Join(filepath.Dir(g.cfg.ConfigFile), "own.tmpl")
	require.NoError(t, os.WriteFile(tmpl, []byte(`{{ define "own" }}x{{ end }}`), 0o600))
	rewrite(strings.Replace(quick, "plugin: chat", "plugin: phone", 1) + "templates: ['*.tmpl']\n")
	until("is at work", 1)
	require.Equal(t, "One", phone.next(t).GroupLabels["alertname"], "a new channel is told of what fires")
	g.post(t, `[{"labels":{"alertname":"Two"}}]`)
	require.Equal(t, "Two", phone.next(t).GroupLabels["alertname"])
	require.Empty(t, chat.groups)
	require.Contains(t, g.ask(http.MethodGet, "/api/v2/alerts/groups", "").Body.String(), "Two")
	require.NoError(t, os.WriteFile(tmpl, []byte(`{{ define`), 0o600))
	until("has mistakes", 0)
}
