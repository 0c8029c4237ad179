package xds

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// versions are those of all that a cache serves.
func versions(c *Cache) map[string]string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := map[string]string{}
	for _, typeURL := range []string{ClusterType, AssignmentType, ListenerType, RouteType} {
		for r := range c.live(typeURL) {
			all[typeURL+" "+r.Name] = r.Version
		}
	}
	return all
}

// However it came to be, what is served is what content and decision say: nothing that a change concerns is overlooked, nothing is left behind.
func TestOverlayForgetsNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	contents := make([]*Content, 4)
	for n := range contents {
		contents[n] = randomContent(t, random, n)
	}
	o := newOverlay(NewCache())
	var content *Content
	serving := &Serving{}
	require.NoError(t, o.setServing(serving))
	for step := range 500 {
		if step == 0 || random.IntN(10) == 0 {
			content = contents[random.IntN(len(contents))]
			require.NoError(t, o.setContent(content))
		} else {
			serving = randomServing(random, serving)
			require.NoError(t, o.setServing(serving))
		}
		fresh := newOverlay(NewCache())
		require.NoError(t, fresh.setServing(serving))
		require.NoError(t, fresh.setContent(content))
		if diff := cmp.Diff(versions(fresh.cache), versions(o.cache)); diff != "" {
			t.Fatalf("step %d: %+v\n%s", step, serving, diff)
		}
		total, unplaced, unweighted := o.counts()
		want, wantUnplaced, wantUnweighted := fresh.counts()
		require.Equal(t, want, total)
		require.Equal(t, wantUnplaced, unplaced)
		require.Equal(t, wantUnweighted, unweighted)
	}
}

func randomContent(t *testing.T, random *rand.Rand, n int) *Content {
	var text strings.Builder
	text.WriteString("clusters:\n")
	for c := range 2 + random.IntN(6) {
		fmt.Fprintf(&text, "- name: cluster-%d\n  endpoints:\n", c+n)
		for e := range 1 + random.IntN(5) {
			fmt.Fprintf(&text, "  - {address: '10.0.%d.%d:80', machine: m%d, idc: idc%d}\n", c, e, random.IntN(8), 1+random.IntN(3))
		}
	}
	clusters, err := joined(text.String())
	require.NoError(t, err)
	routes, err := parseRoutes("routes.yaml", []byte(strings.ReplaceAll(edgeRoutes, "name: edge", fmt.Sprintf("name: edge-%d", n%2))))
	require.NoError(t, err)
	return &Content{Clusters: clusters, Routes: routes}
}

// randomServing changes some of what was decided.
func randomServing(random *rand.Rand, before *Serving) *Serving {
	s := &Serving{Out: map[string]Out{}, IDCs: before.IDCs}
	for subject, out := range before.Out {
		if random.IntN(3) > 0 {
			s.Out[subject] = out
		}
	}
	for range random.IntN(3) {
		s.Out[fmt.Sprintf("machine/m%d", random.IntN(8))] = Out{Drain: random.IntN(2) == 0}
		s.Out[fmt.Sprintf("endpoint/10.0.%d.%d:80", random.IntN(8), random.IntN(5))] = Out{Drain: random.IntN(2) == 0}
	}
	switch random.IntN(8) {
	case 0:
		s.IDCs = nil
	case 1:
		entry, mesh := uint32(random.IntN(3)*5_000), uint32(random.IntN(3)*5_000)
		s.IDCs = map[string]IDC{"idc1": {Entry: entry, Mesh: mesh}, "idc2": {Entry: Whole - entry, Mesh: Whole - mesh}}
	case 2:
		s.IDCs = map[string]IDC{"idc1": {Entry: Whole}, "idc2": {Mesh: Whole}, "idc3": {}}
	}
	return s
}
