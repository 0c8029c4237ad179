package channel

import (
	"slices"
	"strings"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// Severity is that of the worst alert that fires, or of the worst if all are over, in PagerDuty's words: critical, error, warning or
// info. It comes from the label severity; page is critical, ticket is a warning, and what says nothing that is known is an error.
func Severity(g *sdk.Group) string {
	alerts := g.Firing()
	if len(alerts) == 0 {
		alerts = g.Alerts
	}
	worst := "info"
	rank := []string{"info", "warning", "error", "critical"}
	for _, a := range alerts {
		if said := severity(a.Labels["severity"]); slices.Index(rank, said) > slices.Index(rank, worst) {
			worst = said
		}
	}
	return worst
}

func severity(label string) string {
	switch said := strings.ToLower(label); said {
	case "critical", "page":
		return "critical"
	case "warning", "ticket":
		return "warning"
	case "info":
		return said
	}
	return "error"
}
