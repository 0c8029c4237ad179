package failover

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Every scenario that the binary brings along plays as it is written down, and holds what it expects.
func TestScenarios(t *testing.T) {
	for _, name := range Scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := Scenario(name)
			require.NoError(t, err)
			var got bytes.Buffer
			err = RunScenario(context.Background(), bytes.NewReader(text), &got)
			golden := filepath.Join("testdata", "scenarios", name+".golden")
			if *update {
				require.NoError(t, os.WriteFile(golden, got.Bytes(), 0o644))
			}
			want, readErr := os.ReadFile(golden)
			require.NoError(t, readErr)
			require.NoError(t, err, got.String())
			require.Equal(t, string(want), got.String())
		})
	}
}
