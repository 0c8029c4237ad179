package real

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestShift moves traffic as people do: by the command line, at a gateway that decides and answers.
func TestShift(t *testing.T) {
	const token = "0123456789abcdef0123456789abcdef"
	console := netip.AddrPortFrom(loopback(1), freePort(t, loopback(1)))
	server := startGateway(t, "dns, failover, console", lockkeeperZone(1), fmt.Sprintf(`
  failover: {mode: act, data_directory: %q, idcs: {idc1: {weight: 50}, idc2: {weight: 50}}}
  console: {endpoint: %q, tokens: [{name: oncall, role: operator, token: %s}]}`, t.TempDir(), console, token))
	lockkeeper := func(args ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		out, err := exec.CommandContext(ctx, server.program, append(args, "--url", "http://"+console.String(), "--token", token)...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	changed := func(to float64) {
		t.Helper()
		wait(t, fmt.Sprintf("IDC 1 to have %.0f %%", 100*to), func() bool { return share(t, server.address, 100) == to })
	}
	wantShare(t, server.address, 5_000, 10_000, 0.01)
	lockkeeper("shift", "apply", "--to", "idc2=1", "--for", "30m")
	changed(0.99)
	wantShare(t, server.address, 9_900, 100_000, 0.001)
	lockkeeper("shift", "abort")
	changed(0.5)
	wantShare(t, server.address, 5_000, 10_000, 0.01)
	lockkeeper("shift", "apply", "--to", "idc1=0", "--for", "3s")
	changed(0)
	changed(0.5) // by itself
}
