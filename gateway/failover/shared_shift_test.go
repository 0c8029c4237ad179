package failover

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/probes"
)

// A shift goes on where one gateway sees what enters, and ends on all when that is bad, though the others see nothing.
func TestOneSeesWhatEnters(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		_, berlin, tokyo, outside := three(t, directory)
		defer func() { berlin.stop(); tokyo.stop(); outside.stop() }()
		well := []string{entry1, entry2}
		enters := func(seconds int, failures uint64) {
			for range seconds {
				berlin.Observe([]probes.Evidence{{
					Subject: entry1, IDC: "idc1", At: time.Now(), Traffic: &probes.Traffic{Over: time.Second, Requests: 100, Failures: failures},
				}})
				look(1, well, berlin, tokyo, outside)
			}
		}
		all := func(weight uint32) {
			t.Helper()
			for _, g := range []*gateway{berlin, tokyo, outside} {
				require.Equal(t, weight, g.entry()["idc1"])
			}
			same(t, berlin, tokyo, outside)
		}
		look(10, well, berlin, tokyo, outside)
		answer := tokyo.ask("POST", "/api/v1/failover/shift", `{"to":{"idc1":90},"steps":[{"percent":60,"for":"10s"},{"percent":70,"for":"10s"}],"for":"30m","abort_if":{"error_ratio":0.05}}`)
		require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
		enters(5, 0)
		all(6000)
		enters(10, 0)
		all(7000)
		enters(1, 50)
		enters(4, 50)
		all(5000)
		var status shiftStatus
		outside.get(t, "GET", "/api/v1/failover/shift", "", &status)
		require.False(t, status.Active)
		require.Contains(t, string(status.Plan), "requests failed")
	})
}
