package failover

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// alertOf is the alert of a name, or none.
func (g *gateway) alertOf(name string) (found sdk.Alert) {
	for _, a := range g.Alerts() {
		if a.Labels["alertname"] == name {
			return a
		}
	}
	return found
}

// With no IDC left base weights are served, somebody is woken up, and the alert is over with its cause.
func TestNobodyIsHealthy(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		g.see(10, entry1, entry2)
		g.see(15, "!"+entry1, "!"+entry2)
		require.Equal(t, map[string]uint32{"idc1": 5000, "idc2": 5000}, g.entry())
		names := g.alertNames()
		require.Contains(t, names, "FailoverAbstain")
		a := g.alertOf("FailoverAbstain")
		require.Equal(t, map[string]string{"alertname": "FailoverAbstain", "severity": "page", "owner": "platform", "gateway": ""}, a.Labels)
		require.NotEmpty(t, a.Annotations["summary"])
		require.NotEmpty(t, a.Annotations["description"])
		require.Contains(t, a.Annotations["runbook_url"], "gateway/failover/README.md#failoverabstain")
		require.False(t, a.StartsAt.IsZero())
		require.Equal(t, int64(1), g.metric(t, "lockkeeper_failover_alarms", attribute.String("alarm", "abstain")))
		g.see(5, "!"+entry1, "!"+entry2)
		require.Equal(t, a.StartsAt, g.alertOf("FailoverAbstain").StartsAt, "it is one alert all the time")
		g.see(200, entry1, entry2)
		require.Empty(t, g.Alerts())
	})
}

// A freeze is an alert and a metric; its subjects are told in one alert, as are those that are out.
func TestFreezeIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		var well, half []string
		for i := range 40 {
			name := fmt.Sprintf("machine/m%02d", i)
			well = append(well, name)
			if i < 20 {
				name = "!" + name
			}
			half = append(half, name)
		}
		g.see(10, well...)
		g.see(5, half...)
		require.Contains(t, g.alertNames(), "FailoverFreeze")
		require.Positive(t, g.metric(t, "lockkeeper_failover_frozen"))
		require.Empty(t, g.serving().Out)
		require.Equal(t, int64(20), g.metric(t, "lockkeeper_failover_subjects", attribute.String("kind", "machine"), attribute.String("health", "dead")))
		for _, s := range well[:12] {
			g.get(t, "POST", "/api/v1/failover/hold", fmt.Sprintf(`{"subject":%q,"action":"eject","for":"1h"}`, s), &changed{})
		}
		a := g.alertOf("MachineEjected")
		require.Equal(t, "Taken out in idc1: 12 of the machines", a.Annotations["summary"])
		require.Contains(t, a.Annotations["description"], "machine/m09 and 2 more")
	})
}
