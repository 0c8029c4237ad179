package envoy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"

	"github.com/lockkeeper/lockkeeper/xds"
)

// server is an extension that says what is served.
type server struct {
	component.StartFunc
	component.ShutdownFunc
	apply   func(*xds.Serving)
	stopped bool
}

func (s *server) WatchServing(apply func(*xds.Serving)) (stop func()) {
	s.apply = apply
	apply(&xds.Serving{IDCs: map[string]xds.IDC{"idc1": {Entry: 5000, Mesh: 5000}, "idc2": {Entry: 5000, Mesh: 5000}}})
	return func() { s.stopped = true }
}

func TestSteady(t *testing.T) {
	var s steady
	from := &server{}
	s.watch(map[component.ID]component.Component{component.MustNewID("failover"): from})
	require.Zero(t, s.from(), "what is served at the start is no change")
	from.apply(&xds.Serving{
		Version: 2, Out: map[string]xds.Out{"machine/m1": {}},
		IDCs: map[string]xds.IDC{"idc1": {Entry: 5000, Mesh: 5000, Why: "another"}, "idc2": {Entry: 5000, Mesh: 5000}},
	})
	require.Zero(t, s.from(), "a machine that is out moves nothing between IDCs")
	from.apply(&xds.Serving{Version: 3, IDCs: map[string]xds.IDC{"idc1": {Entry: 5000, Mesh: 4900}, "idc2": {Entry: 5000, Mesh: 5100}}})
	require.WithinDuration(t, time.Now(), s.from(), time.Minute)
	moved := s.from()
	from.apply(&xds.Serving{Version: 4, IDCs: map[string]xds.IDC{"idc1": {Entry: 5000, Mesh: 4900}, "idc2": {Entry: 5000, Mesh: 5100}}})
	require.Equal(t, moved, s.from())
	s.stop()
	require.True(t, from.stopped)
}
