package pluginhost

import (
	"slices"
	"sync"
	"time"

	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	downAfter = 10 * time.Second // so long a plugin may be away before anybody is alerted: a restart takes less than 2 s
	upAfter   = 30 * time.Second // so long it must have worked before the alert is over: one that crashes again and again is down all the time
)

// Plugins are the names of the plugins of a kind, sorted.
func (h *host) Plugins(kind string) []string {
	return slices.DeleteFunc(h.names(), func(name string) bool { return h.processes[name].kind != kind })
}

// Alerts are all that is wrong with the plugins now: an alert PluginDown for each that is. It is meant to be asked once a second.
func (h *host) Alerts() []sdk.Alert {
	var alerts []sdk.Alert
	for _, name := range h.names() {
		r := h.processes[name].report()
		since, down := h.outages.observe(r, time.Now())
		if !down {
			continue
		}
		severity := "ticket"
		if r.Kind != "notification" { // without storage or rules nobody is alerted of anything else
			severity = "page"
		}
		alerts = append(alerts, sdk.Alert{
			Labels:      map[string]string{"alertname": "PluginDown", "plugin": r.Name, "kind": r.Kind, "severity": severity, "owner": "platform"},
			Annotations: map[string]string{"summary": "The plugin " + r.Name + " does not work", "description": r.LastError},
			StartsAt:    since,
		})
	}
	return alerts
}

// outages remembers since when plugins are down.
type outages struct {
	mu    sync.Mutex
	since map[string]time.Time
}

// observe tells whether a plugin that looks like this is down, and since when.
func (o *outages) observe(r report, now time.Time) (since time.Time, down bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	since, known := o.since[r.Name]
	switch up := r.State == stateRunning && r.Healthy; {
	case up && now.Sub(r.Since) >= upAfter:
		delete(o.since, r.Name)
		return time.Time{}, false
	case !up && !known:
		if o.since == nil {
			o.since = map[string]time.Time{}
		}
		o.since[r.Name], since, known = now, now, true
	}
	return since, known && now.Sub(since) >= downAfter
}
