package channel

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/sdk"
)

func TestSeverity(t *testing.T) {
	f := func(want string, labels ...string) {
		t.Helper()
		g := new(sdk.Group)
		for _, label := range labels {
			status, label, _ := strings.Cut(label, " ")
			g.Alerts = append(g.Alerts, sdk.GroupAlert{Status: status, Labels: map[string]string{"severity": label}})
		}
		require.Equal(t, want, Severity(g))
	}
	f("critical", "firing critical")
	f("critical", "firing Page")
	f("error", "firing error")
	f("warning", "firing warning")
	f("warning", "firing ticket")
	f("info", "firing info")
	f("error", "firing ")
	f("error", "firing none of them")
	// The worst that fires, or that was.
	f("critical", "firing ticket", "firing page", "firing info")
	f("warning", "firing info", "firing ticket", "resolved page")
	f("critical", "resolved info", "resolved page")
}
