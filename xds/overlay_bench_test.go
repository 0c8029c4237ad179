package xds

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// 100 clusters of 100 endpoints; one machine, with an endpoint in 50 of them, goes and comes back.
func BenchmarkOverlay(b *testing.B) {
	var text strings.Builder
	text.WriteString("clusters:\n")
	for c := range 100 {
		fmt.Fprintf(&text, "- name: cluster-%d\n  endpoints:\n", c)
		for e := range 100 {
			machine := fmt.Sprintf("m%d", (e+c/2*100)%5_000)
			if e == 0 && c%2 == 0 {
				machine = "down"
			}
			fmt.Fprintf(&text, "  - {address: '10.%d.0.%d:80', machine: %s, idc: idc%d}\n", c, e, machine, e%2+1)
		}
	}
	clusters, err := joined(text.String())
	require.NoError(b, err)
	o := newOverlay(NewCache())
	require.NoError(b, o.setContent(&Content{Clusters: clusters}))
	idcs := shares(5_000, 5_000)
	require.NoError(b, o.setServing(&Serving{IDCs: idcs}))
	states := []*Serving{{IDCs: idcs, Out: dead("machine/down")}, {IDCs: idcs}}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		require.NoError(b, o.setServing(states[n%2]))
		n++
	}
}
