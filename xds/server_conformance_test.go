package xds

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// The scripts of testdata/conformance say what a client asks for and hears, by case. Those of delta and of state apply to one aggregated stream and to a
// stream for each type alike. What the steps mean is told at wire.play.
func TestConformance(t *testing.T) {
	variants := []struct {
		name            string
		delta, separate bool
		files           []string
	}{
		{"delta, aggregated", true, false, []string{"delta", "delta_aggregated"}},
		{"delta, separate", true, true, []string{"delta", "delta_separate"}},
		{"state, aggregated", false, false, []string{"state", "state_aggregated"}},
		{"state, separate", false, true, []string{"state", "state_separate"}},
	}
	table := fmt.Sprintf("%-28s%18s%18s%18s%18s\n", "", variants[0].name, variants[1].name, variants[2].name, variants[3].name)
	counts := map[string]*[4]int{}
	for v, variant := range variants {
		for _, s := range scriptsOf(t, variant.files...) {
			for _, of := range []string{s.of, total} {
				if counts[of] == nil {
					counts[of] = &[4]int{}
				}
				counts[of][v]++
			}
			t.Run(variant.name+"/"+s.of+"/"+s.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWire(t, Options{})
					w.delta, w.separate = variant.delta, variant.separate
					w.play(s.steps)
				})
			})
		}
	}
	for _, of := range append(cases(), total) {
		n := counts[of]
		require.NotNil(t, n, of)
		table += fmt.Sprintf("%-28s%18d%18d%18d%18d\n", of, n[0], n[1], n[2], n[3])
		for v, variant := range variants {
			// Streams of one type each have no order among them.
			need := !variant.separate || of != "ordering" && of != "types on one stream"
			require.True(t, n[v] > 0 || !need, "%s: no script of %q", variant.name, of)
		}
	}
	t.Log("\n" + table)
	for v, variant := range variants {
		require.GreaterOrEqual(t, counts[total][v], 25, variant.name)
	}
}

const total = "all"

// cases are what each variant has scripts of.
func cases() []string {
	return []string{
		"subscribe", "update", "wildcard by naming nothing", "wildcard by name", "unsubscribe from one", "unsubscribe from all", "subscribe again",
		"missing resource", "NACK", "reconnect", "ordering", "types on one stream", "requests that are none",
	}
}

// script is one of a case: "# name", and its steps.
type script struct{ of, name, steps string }

func scriptsOf(t *testing.T, files ...string) (all []script) {
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join("testdata", "conformance", file+".txt"))
		require.NoError(t, err)
		for section := range strings.SplitSeq(strings.TrimPrefix(string(text), "== "), "\n== ") {
			of, scripts, _ := strings.Cut(section, "\n\n# ")
			require.True(t, slices.Contains(cases(), of), "%s: there is no case %q", file, of)
			for one := range strings.SplitSeq(scripts, "\n# ") {
				name, steps, _ := strings.Cut(one, "\n")
				all = append(all, script{of, name, steps})
			}
		}
	}
	return all
}
