package xds

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestListeners(t *testing.T) {
	text, err := os.ReadFile("testdata/live/listeners.yaml")
	require.NoError(t, err)
	all, err := parseListeners("listeners.yaml", text)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, "edge", all["edge"].Name)
	all, err = parseListeners("listeners.yaml", []byte("resources: []"))
	require.NoError(t, err)
	require.Empty(t, all)
	_, err = parseListeners("listeners.json", []byte(`{"version_info": "1", "resources": [{"name": "a", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 80}}}]}`))
	require.NoError(t, err)
}

func TestListenerMistakes(t *testing.T) {
	f := func(text string, wants ...string) {
		t.Helper()
		_, err := parseListeners("listeners.yaml", []byte(text))
		for _, want := range wants {
			require.ErrorContains(t, err, want)
		}
	}
	f("", "listeners.yaml: is empty")
	f("{}", "names no resources, which may be a mistake: write resources: []")
	f("resources:", "names no resources")
	f("a: b: c", "listeners.yaml: mapping values are not allowed")
	f("resources: [{name: a}]\nlisteners: []", `listeners.yaml:2: unknown key "listeners"`)
	f("resources: []\n---\nresources: []", "more than one document")
	f("resources: [{name: a}, {name: a}]", `listeners.yaml:1: resource "a": is there already, at listeners.yaml:1`)
	f("resources: [{}]", "name: missing")
	f("resources:\n- {name: a}\n- {name: b, adress: 1}\n- {name: c, address: {socket_address: {address: x, port_value: 99999}}}",
		`listeners.yaml:3: resource "b": unknown field "adress"`, `listeners.yaml:4: resource "c": `, "PortValue: value must be less than or equal to 65535")
	f(`resources: [{"@type": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: a}]`, "@type: must be type.googleapis.com/envoy.config.listener.v3.Listener, is type.googleapis.com/envoy.config.cluster.v3.Cluster")
	// An extension that the gateway does not know.
	f(`resources: [{name: a, listener_filters: [{name: x, typed_config: {"@type": type.googleapis.com/envoy.unknown.v3.X}}]}]`,
		"the gateway does not know type.googleapis.com/envoy.unknown.v3.X: write {", "TypedStruct")
	_, err := parseListeners("listeners.yaml", []byte(`resources: [{name: a, listener_filters: [{name: x, typed_config: {"@type": type.googleapis.com/xds.type.v3.TypedStruct, type_url: type.googleapis.com/envoy.unknown.v3.X, value: {y: z}}}]}]`))
	require.NoError(t, err)
	// 1: 2 is no JSON.
	f("resources: [{name: a, metadata: {filter_metadata: {1: {2: 3}}}}]", "keys must be words")
}

// Whatever is in a file, it is refused or served, in no time.
func FuzzFiles(f *testing.F) {
	seeds, err := filepath.Glob("testdata/live/*.yaml")
	require.NoError(f, err)
	for _, file := range append(seeds, "testdata/endpoints.yaml") {
		text, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(string(text))
	}
	for _, text := range []string{
		edgeRoutes, "clusters: [{name: a, http2: true, envoy: {connect_timeout: 1s}}]", "clusters: &a [*a]", "machines: [{name: x, address: '::1'}]", "clusters: [null]", "resources: [null]",
		"clusters: [{name: a, endpoints: [{address: '[::ffff:1.2.3.4]:1', weight: 4294967295}]}]", "resources: &x [{name: a}]\n", "clusters:\n- <<: {name: a}",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 10_000 {
			return
		}
		serving := Serving{Out: dead("machine/m11"), IDCs: shares(1, 9_999)}
		if source, err := parseSource("file", []byte(text)); err == nil {
			clusters, err := joinSources([]*sourceFile{source})
			for _, c := range clusters {
				a, _ := assign(c, &serving)
				if _, failed := NewResource(c.Name, a); failed != nil && err == nil {
					t.Error(failed)
				}
			}
		}
		_, _ = parseListeners("file", []byte(text))
		if routes, err := parseRoutes("file", []byte(text)); err == nil {
			for _, r := range routes {
				config, _ := r.weigh(&serving)
				if _, err := NewResource(config.GetName(), config); err != nil {
					t.Error(err)
				}
			}
		}
	})
}
