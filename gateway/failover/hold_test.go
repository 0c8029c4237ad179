package failover

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What nobody has observed can be held if it is served, and never the last of it.
func TestHoldOfWhatIsOnlyServed(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		defer g.stop()
		const body = `{"subject":%q,"action":"eject","for":"1h"}`
		one, two := endpointName(0), endpointName(1)
		require.Equal(t, http.StatusNotFound, g.ask("POST", "/api/v1/failover/hold", fmt.Sprintf(body, one)).Code)
		g.Place(map[string][]string{"web": {one, two}, "web machines": {"machine/a", "machine/b"}}, map[string][]string{"machine/a": {one}, "machine/b": {two}, "machine/c": nil})
		g.get(t, "POST", "/api/v1/failover/hold", fmt.Sprintf(body, one), &changed{})
		require.Contains(t, g.serving().Out, one)
		require.True(t, g.serving().Out[one].Drain, "it may be well")
		g.get(t, "POST", "/api/v1/failover/hold", fmt.Sprintf(body, two), &changed{})
		require.NotContains(t, g.serving().Out, two, "the last one stays")
		require.Contains(t, g.alertNames(), "FailoverLastOne")
		g.get(t, "POST", "/api/v1/failover/hold", fmt.Sprintf(body, "machine/b"), &changed{})
		require.Contains(t, g.serving().Out, "machine/b")
		answer := g.ask("POST", "/api/v1/failover/hold", fmt.Sprintf(body, "endpoint/10.0.0.2:8080"))
		require.Equal(t, http.StatusNotFound, answer.Code)
		require.Contains(t, answer.Body.String(), "did you mean "+one)

		g.get(t, "DELETE", "/api/v1/failover/hold?subject=*", "", &changed{})
		require.Empty(t, g.serving().Out)
		diagnoses := g.diagnoses(t, one)
		require.Len(t, diagnoses, 2)
		require.Equal(t, [2]int{1, 1}, [2]int{diagnoses[0].Diagnosis.Endpoints, diagnoses[0].Diagnosis.Clusters})
		require.Contains(t, diagnoses[0].Why, "taken out by oncall")
		require.False(t, diagnoses[1].Diagnosis.Back.IsZero())
	})
}

// Sites that cannot agree on anything do not keep a person from putting back all that is out.
func TestRestoreAllNeedsNoQuorum(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		g := launch(t, acting(directory))
		g.see(10, entry1, entry2, "machine/a", "machine/b", "machine/c", "machine/d")
		g.see(6, "!"+entry1, entry2, "!machine/a", "machine/b", "machine/c", "machine/d")
		require.Equal(t, uint32(0), g.entry()["idc1"])
		require.Contains(t, g.serving().Out, "machine/a")
		g.stop()

		sites := acting(directory)
		sites.Sites = map[string]string{"outside": "", "berlin": "idc1", "tokyo": "idc2"}
		g = launchAmong(t, sites, (&network{}).join("gateway", "outside"))
		defer g.stop()
		g.see(15, "!"+entry1, entry2, "!machine/a", "machine/b", "machine/c", "machine/d")
		require.Contains(t, g.alertNames(), "FailoverQuorum")
		require.Equal(t, uint32(0), g.entry()["idc1"], "the last decision stands")
		g.get(t, "POST", "/api/v1/failover/hold", `{"subject":"*","action":"restore","for":"10m"}`, &changed{})
		require.Empty(t, g.serving().Out)
		require.Equal(t, map[string]uint32{"idc1": 5000, "idc2": 5000}, g.entry())
		time.Sleep(11 * time.Minute)
		require.Equal(t, uint32(5000), g.entry()["idc1"], "nobody says that it is dead")
	})
}
