package pluginhost

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// One is told of a plugin that stays away, not of one that is restarted, and not anew at each crash.
func TestOutages(t *testing.T) {
	var o outages
	began := time.Now()
	state, healthy, since := stateRunning, true, began
	f := func(after time.Duration, wantDown bool) {
		t.Helper()
		at, down := o.observe(report{Name: "x", State: state, Healthy: healthy, Since: since}, began.Add(after))
		require.Equal(t, wantDown, down)
		if down {
			require.Equal(t, began.Add(100*time.Second), at)
		}
	}
	f(time.Second, false)
	// a restart
	state = stateBackoff
	f(50*time.Second, false)
	state, since = stateRunning, began.Add(52*time.Second)
	f(52*time.Second, false)
	f(83*time.Second, false)
	// it stays away
	state = stateBackoff
	f(100*time.Second, false)
	f(109*time.Second, false)
	f(110*time.Second, true)
	// it comes and goes
	state, since = stateRunning, began.Add(120*time.Second)
	f(121*time.Second, true)
	state = stateBackoff
	f(122*time.Second, true)
	state, since = stateRunning, began.Add(130*time.Second)
	f(159*time.Second, true)
	f(160*time.Second, false)
	// it runs, and cannot work
	healthy, began = false, began.Add(100*time.Second)
	f(100*time.Second, false)
	f(110*time.Second, true)
}

func TestAlerts(t *testing.T) {
	f := newFixture(t, "{processes: {one: {kind: storage}}}", "storage-one").start()
	require.Equal(t, []string{"one"}, f.host.Plugins("storage"))
	require.Empty(t, f.host.Plugins("notification"))
	require.Empty(t, f.host.Alerts())
	f.host.outages.since = map[string]time.Time{"one": time.Now().Add(-time.Minute)}
	alerts := f.host.Alerts()
	require.Len(t, alerts, 1)
	require.Equal(t, map[string]string{"alertname": "PluginDown", "plugin": "one", "kind": "storage", "severity": "page", "owner": "platform"}, alerts[0].Labels)
	require.Equal(t, "The plugin one does not work", alerts[0].Annotations["summary"])
}
