package failover

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A wall clock that was set back while a gateway was down makes it forget neither what people said nor what is out.
func TestClockIsSetBackWhileDown(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		_, berlin, tokyo, outside := three(t, directory)
		well := []string{entry1, entry2, "machine/a", "machine/b", "machine/c", "machine/d"}
		ill := []string{entry1, "!" + entry2, "machine/a", "machine/b", "machine/c", "machine/d"}
		look(10, well, berlin, tokyo, outside)
		answer := berlin.ask("POST", "/api/v1/failover/hold", `{"subject":"machine/b","action":"eject","for":"2h"}`)
		require.Equal(t, http.StatusOK, answer.Code)
		look(10, ill, berlin, tokyo, outside)
		berlin.stop()
		tokyo.stop()
		outside.stop()
		f := func(back time.Duration) {
			t.Helper()
			now := time.Now().Add(-back)
			past, problem := loadState(directory+"/b1", now)
			require.NoError(t, problem)
			s, l := &sharing{self: "b1", site: "berlin", ledger: aLedger("b1", now)}, &loop{}
			s.resume(l, past, now)
			require.Len(t, l.holds, 1)
			require.LessOrEqual(t, l.holds[0].Until.Sub(now), 2*time.Hour+time.Minute)
			require.True(t, s.ledger.agreed(now)[entry2].Down)
		}
		f(0)
		f(30 * time.Second)
		f(10 * time.Minute)
		f(365 * 24 * time.Hour)
	})
}
