package xds

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// The scripts of testdata/conformance say what a client asks for and hears: those of delta and of state apply to one aggregated stream and to
// a stream for each type alike. What the steps mean is told at wire.play.

func TestDeltaAggregated(t *testing.T) { conform(t, true, false, "delta", "delta_aggregated") }

func TestDeltaSeparate(t *testing.T) { conform(t, true, true, "delta", "delta_separate") }

func TestStateAggregated(t *testing.T) { conform(t, false, false, "state", "state_aggregated") }

func TestStateSeparate(t *testing.T) { conform(t, false, true, "state", "state_separate") }

// conform plays scripts against a server, with one aggregated stream, or with one stream for each type.
func conform(t *testing.T, delta, separate bool, files ...string) {
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join("testdata", "conformance", file+".txt"))
		require.NoError(t, err)
		for script := range strings.SplitSeq(strings.TrimPrefix(string(text), "# "), "\n# ") {
			name, steps, _ := strings.Cut(script, "\n")
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWire(t, Options{})
					w.delta, w.separate = delta, separate
					w.play(steps)
				})
			})
		}
	}
}
