package envoy

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWorstNodes(t *testing.T) {
	fleet := func() (nodes []nodeStatus) {
		for i := range 10_000 {
			n := nodeStatus{ID: fmt.Sprintf("sidecar~10.0.%d.%d~web-%05d.shop~shop.svc.cluster.local", i/250, i%250, i), App: "web", IDC: "idc1", Hosts: []string{"192.0.2.1"}}
			if ratio := 0.5; i%100 == 7 {
				n.Coverage, n.Thin = &ratio, true
			}
			nodes = append(nodes, n)
		}
		return nodes
	}
	all, rest := worstNodes(fleet(), "", 0)
	require.Len(t, all, 10_000)
	require.Zero(t, rest)
	few, rest := worstNodes(fleet(), "", 200)
	require.Len(t, few, 200)
	require.Equal(t, 9_800, rest)
	thin := 0
	for i := range few {
		if few[i].Thin {
			thin++
		}
	}
	require.Equal(t, 100, thin, "not all that are thin are told")
	text, err := json.Marshal(few)
	require.NoError(t, err)
	require.Less(t, len(text), 100_000)
	found, rest := worstNodes(fleet(), " WEB-00042 idc1", 50)
	require.Len(t, found, 1)
	require.Zero(t, rest)
}

func TestParseWorst(t *testing.T) {
	f := func(query string, want int, ok bool) {
		t.Helper()
		values, err := url.ParseQuery(query)
		require.NoError(t, err)
		n, err := parseWorst(values)
		require.Equal(t, ok, err == nil)
		require.Equal(t, want, n)
	}
	f("", 0, true)
	f("worst=200", 200, true)
	f("worst=0", 0, false)
	f("worst=-1", 0, false)
	f("worst=x", 0, false)
	f("worst=", 0, false)
}
