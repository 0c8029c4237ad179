package cluster

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// silentAfter is how long nobody of a site may answer before somebody is alerted.
const silentAfter = 15 * time.Second

// Alerts are all that is wrong with the cluster now. It is meant to be asked once a second. All members that reach one another see the same: they have the label gateway,
// and empty.
func (c *cluster) Alerts() []sdk.Alert {
	if !c.exchange.running.Load() {
		return nil
	}
	alerts := c.silentSites()
	if clash, lasts := c.members.clashes(); lasts {
		alerts = append(alerts, sdk.Alert{
			Labels: map[string]string{"alertname": "ClusterNameClash", "member": clash.name, "severity": "page", "owner": "platform", "gateway": ""},
			Annotations: map[string]string{
				"summary":     "Two gateways have the name " + clash.name,
				"description": fmt.Sprintf("They are at %s and at %s. Only one of them counts: give each a cluster::name of its own.", clash.addresses[0], clash.addresses[1]),
			},
			StartsAt: clash.first,
		})
	}
	return alerts
}

// silence is a site, or a configured address, of which nobody answers.
type silence struct {
	Site  string    `json:"site"` // the address, where it is not known which site is there
	Since time.Time `json:"since"`
	Why   string    `json:"why"`
}

func (c *cluster) silentSites() (alerts []sdk.Alert) {
	for _, s := range c.silences() {
		alerts = append(alerts, sdk.Alert{
			Labels: map[string]string{"alertname": "SiteSilent", "site": s.Site, "severity": "page", "owner": "platform", "gateway": ""},
			Annotations: map[string]string{
				"summary":     "No gateway of the site " + s.Site + " answers",
				"description": s.Why + ". What it would have said is missing where sites decide together.",
			},
			StartsAt: s.Since,
		})
	}
	return alerts
}

// silences are the sites that are expected, since a member of theirs was seen or is configured, and have been silent for a while.
func (c *cluster) silences() (silences []silence) {
	now := c.now()
	heard, answers, lost := map[string]time.Time{}, map[string]bool{}, map[string]bool{}
	for _, m := range c.members.all() {
		answers[m.Site] = answers[m.Site] || m.State == stateAlive
		lost[m.Site] = lost[m.Site] || m.State == stateLost
		if m.Heard.After(heard[m.Site]) {
			heard[m.Site] = m.Heard
		}
	}
	for _, site := range slices.Sorted(maps.Keys(heard)) {
		if since := heard[site]; !answers[site] && now.Sub(since) >= silentAfter {
			why := "The last word of it came at " + since.UTC().Format(time.RFC3339)
			if !lost[site] {
				why = "What was there was stopped; the last word of it came at " + since.UTC().Format(time.RFC3339)
			}
			silences = append(silences, silence{site, since, why})
		}
	}
	if now.Sub(c.started) < silentAfter {
		return silences
	}
	away := c.joiner.away()
	for _, address := range slices.Sorted(maps.Keys(away)) {
		silences = append(silences, silence{address, c.started, "Nobody was met at cluster::join " + address + ": " + away[address].Error() + " (have both the same keys, and the same time?)"})
	}
	return silences
}
