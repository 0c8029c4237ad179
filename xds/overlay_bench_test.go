package xds

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// 100 clusters of 100 endpoints; one machine, with an endpoint in 50 of them, goes and comes back.
func BenchmarkOverlay(b *testing.B) {
	clusters, err := joined(fanSource())
	require.NoError(b, err)
	o := newOverlay(NewCache())
	require.NoError(b, o.setContent(&Content{Clusters: clusters}))
	states := []*Serving{fanServing(true), fanServing(false)}
	require.NoError(b, o.setServing(states[1]))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		require.NoError(b, o.setServing(states[n%2]))
		n++
	}
}
