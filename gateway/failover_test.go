package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/lockkeeper/lockkeeper/gateway/failover"
	"github.com/lockkeeper/lockkeeper/probes"
)

// openConsole stands for the console; everybody is ann.
type openConsole struct {
	component.Component
	*http.ServeMux
}

func (c *openConsole) HandlePush(_, pattern string, handler func(http.ResponseWriter, *http.Request, string)) {
	c.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { handler(w, r, "ann") })
}

func (c *openConsole) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("console"): c}
}

// startFailover runs the extension with two IDCs and some machines, one of which is dead.
func startFailover(t *testing.T) (address string) {
	t.Helper()
	factory := failover.NewFactory()
	cfg := factory.CreateDefaultConfig().(*failover.Config)
	cfg.Mode = "act"
	cfg.IDCs = map[string]failover.IDCConfig{"idc1": {Weight: 50}, "idc2": {Weight: 50}}
	cfg.Thresholds = map[string]failover.Threshold{"machine": {Unhealthy: 1, Healthy: 60}}
	cfg.DataDirectory = t.TempDir()
	made, err := factory.Create(context.Background(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	console := &openConsole{ServeMux: http.NewServeMux()}
	require.NoError(t, made.Start(t.Context(), console))
	server := httptest.NewServer(console)
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, made.Shutdown(context.Background()))
	})
	sink, ok := made.(interface{ Observe([]probes.Evidence) })
	require.True(t, ok)
	sink.Observe([]probes.Evidence{
		{Subject: "machine/web-1", IDC: "idc1", Probe: "ping", At: time.Now(), Next: time.Hour, OK: true},
		{Subject: "machine/web-2", IDC: "idc1", Probe: "ping", At: time.Now(), Next: time.Hour, OK: true},
		{Subject: "machine/web-3", IDC: "idc1", Probe: "ping", At: time.Now(), Next: time.Hour, Reason: "no answer within 500 ms\x1b[2J"},
	})
	require.Eventually(t, func() bool {
		_, out, _ := call(t, "failover", "list", "--url", server.URL)
		return strings.Contains(out, "machine/web-3")
	}, 30*time.Second, 10*time.Millisecond)
	return server.URL
}

func TestFailoverCommands(t *testing.T) {
	address := startFailover(t)
	f := func(code int, args string, want ...string) {
		t.Helper()
		got, out, problems := call(t, append(strings.Fields(args), "--url", address)...)
		require.Equal(t, code, got, "%s\n%s%s", args, out, problems)
		text := regexp.MustCompile(` +`).ReplaceAllString(out+problems, " ")
		for _, w := range want {
			require.Contains(t, text, w, args)
		}
		require.NotContains(t, out, "\x1b")
	}
	f(0, "failover list", "idc1 50 % 50 %", "SUBJECT HEALTH SINCE OUT WHY\nmachine/web-3 dead 0s ago yes", "no answer within 500 ms?[2J")
	f(0, "failover list --all machine/web-1", "machine/web-1 healthy")
	f(0, "failover list idc/", "Nothing is unhealthy, out or held.")
	f(0, "failover list -o json", `"subject":"machine/web-3"`)
	f(0, "failover eject machine/web-1 --for 30m --why ticket-4711", "machine/web-1: eject until ", "by ann")
	f(0, "failover list", "HELD ACTION BY UNTIL WHY\nmachine/web-1 eject ann ", "ticket-4711")
	f(0, "failover eject idc/idc2/entry --for 25h --hard", "idc/idc2/entry: eject until")
	f(0, "failover list", "idc2 0 % 50 %", "eject (hard)")
	f(0, "failover restore --all --for 10m", "machine/web-3: restore until")
	f(0, "failover hold machine/web-2 --for 10m -o json", `"action":"hold"`, `"saved":true`)
	f(0, "failover release machine/web-2 --why done", "machine/web-2: released (it was hold by ann until")
	f(1, "failover release machine/web-2", "there is no hold")
	f(0, "failover release --all", "machine/web-1: released")
	f(0, "failover release --all", "there was nothing to do")
	f(0, "failover events --kind hold --subject machine/web-1", "hold machine/web-1: eject by ann until ", ", by ann: ticket-4711")
	f(0, "failover events -n 1 -o json", `"kind":"`)
	// What is wrong is told.
	f(1, "failover eject machine/web-4 --for 1h", "did you mean machine/web-1 or machine/web-2 or machine/web-3?")
	f(2, "failover eject machine/web-1", "--for: a hold always ends")
	f(2, "failover eject --for 1h", "say which subject")
	f(2, "failover eject a b --for 1h", "say which subject")
	f(2, "failover eject --all --for 1h", "unknown flag")
	f(2, "failover restore --all machine/a --for 1h", "not both")
	f(2, "failover release", "say which hold")
	f(2, "failover list -o yaml", "must be text or json")
	f(2, "failover events --since tomorrow", "since: ")
}

func TestDrillCommand(t *testing.T) {
	code, out, _ := call(t, "drill")
	require.Equal(t, 0, code)
	names := strings.Fields(out)
	require.Equal(t, failover.Scenarios(), names)
	code, out, problems := call(t, "drill", names[0], names[1])
	require.Equal(t, 0, code, problems)
	require.Contains(t, out, "== "+names[1]+"\n")
	code, _, problems = call(t, "drill", "no-such")
	require.Equal(t, 2, code)
	require.Contains(t, problems, "no-such is neither a file nor a scenario")
	code, _, problems = call(t, "drill", "testdata/full.yaml")
	require.NotEqual(t, 0, code)
	require.Contains(t, problems, "testdata/full.yaml: ")
}
