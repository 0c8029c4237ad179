package envoy

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

func TestTelemetryOfApps(t *testing.T) {
	of := telemetryOf(map[string]mesh.Source{
		"gate-1":  {IDC: "idc1", App: "gate", Ingress: true, Streams: 1},
		"web-1":   {IDC: "idc1", App: "web", Streams: 1},
		"web-2":   {IDC: "idc1", App: "web", Streams: 1},
		"web-old": {IDC: "idc1", App: "web"},               // it ended
		"web-3":   {IDC: "idc2", App: "web"},               // so did this one, which was the only one
		"cart-1":  {IDC: "idc1", App: "cart"},              // its stats still come
		"cart-2":  {IDC: "idc1", App: "cart", Streams: 10}, // it writes, and nothing arrives
	}, map[string]*health{
		"web-2":  {nodeCoverage: nodeCoverage{Ratio: 0.5, Known: true}},
		"cart-1": {alsLost: true},
		"cart-2": {alsLost: true},
	})
	require.Equal(t, mesh.Telemetry{Ingress: true}, of("idc1", "gate"))
	require.Equal(t, mesh.Telemetry{Missing: 0.25}, of("idc1", "web"))
	require.Equal(t, mesh.Telemetry{Gone: true}, of("idc2", "web"))
	require.Equal(t, mesh.Telemetry{Missing: 1}, of("idc1", "cart"))
	require.Equal(t, mesh.Telemetry{}, of("idc1", "nobody"))
}
