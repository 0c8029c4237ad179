package dns

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestConfig(t *testing.T) {
	cfg, err := load(t, `
endpoint: localhost:8053
zones:
  gslb.example.com:
    ns: {ns1.gslb.example.com: [127.1.0.53, "::1"], ns.example.org: []}
    names:
      api: {idcs: {idc1: 127.1.0.1, idc2: [127.2.0.1, "2001:db8::1"]}}
      "@": {ttl: 10s, answer: all, idcs: {idc1: [127.1.0.1]}}
  a.example: {ttl: 1m, negative_ttl: 1s, ns: {ns.example.org: []}, names: {b: {idcs: {idc1: 127.1.0.1}}}}
`)
	require.NoError(t, err)
	require.Equal(t, []string{"localhost:8053"}, cfg.Endpoints)
	zones := cfg.zones()
	require.Len(t, zones, 2)
	require.Equal(t, "a.example", zones[0].Origin)
	require.Equal(t, time.Minute, zones[0].TTL)
	require.Equal(t, time.Second, zones[0].NegativeTTL)
	z := zones[1]
	require.Equal(t, time.Hour, z.TTL)
	require.Equal(t, 5*time.Second, z.NegativeTTL)
	require.Equal(t, []netip.Addr{netip.MustParseAddr("127.1.0.53"), netip.MustParseAddr("::1")}, z.NS["ns1.gslb.example.com"])
	require.Empty(t, z.NS["ns.example.org"])
	require.Equal(t, Name{TTL: 5 * time.Second, IDCs: map[string][]netip.Addr{
		"idc1": {netip.MustParseAddr("127.1.0.1")}, "idc2": {netip.MustParseAddr("127.2.0.1"), netip.MustParseAddr("2001:db8::1")},
	}}, z.Names["api"])
	require.True(t, z.Names["@"].All)
	require.Equal(t, RateLimit{OthersPerSecond: 200, Slip: 2}, cfg.RateLimit)
}

func TestConfigMistakes(t *testing.T) {
	f := func(text string, wants ...string) {
		t.Helper()
		_, err := load(t, text)
		for _, want := range wants {
			require.ErrorContains(t, err, want)
		}
	}
	const zone = `zones: {a.example: {ns: {ns.example.org: []}, names: {api: {idcs: {idc1: 192.0.2.1}}}}}`
	f(`{}`, "zones: there is none")
	f(`{endpont: x}`, "endpont")
	f(zone+"\nendpoint: []", "endpoint: missing: such as localhost:8053")
	f(zone+"\nendpoint: [localhost, 'localhost:dns', '1:2:3']", `endpoint: "localhost": must be like localhost:8053`, `"localhost:dns"`, `"1:2:3"`)
	f(zone+"\nrate_limit: {answers_per_second: -1, others_per_second: 1000001, slip: 11}",
		"rate_limit::answers_per_second: must be 0 (none) to 1000000, is -1", "rate_limit::others_per_second", "rate_limit::slip: must be 0 (none) to 10, is 11")
	f(`zones: {a.example: {n: {}}}`, "zones[a.example]", "n")
	f(`zones: {a.example: {ns: {ns1.a.example: 192.0.2.256}}}`, "ns1.a.example", "192.0.2.256")
	f(`zones: {a.example: {names: {api: {idcs: {idc1: [192.0.2.1, nowhere]}}}}}`, "idcs[idc1]", "nowhere")
	f(`zones: {a.example: {names: {api: {ttl: soon}}}}`, "names[api].ttl")
	// All of it at once, each with its path.
	f(`
endpoint: nowhere
rate_limit: {slip: 99}
zones:
  a.example:
    ns: {ns1.a.example: []}
    names:
      api: {answer: some, ttl: 100ms, idcs: {idc1: 0.0.0.0}}
      other.example.: {idcs: {idc1: 192.0.2.1}}
  b.example: {ttl: -1s}
`, `endpoint: "nowhere"`, "rate_limit::slip", `zones::a.example::names::api::answer: must be one or all, is "some"`,
		"zones::a.example::ns::ns1.a.example: has no address", "zones::a.example::names::api::ttl: 100ms", "0.0.0.0 is no address",
		"zones::a.example::names::other.example.: is outside of the zone", "zones::b.example::ns: there is none", "zones::b.example::ttl")
}

// The examples on the pages are configurations.
func TestExamples(t *testing.T) {
	for _, page := range []string{"README.md", "DELEGATION.md"} {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		blocks := strings.Split(string(text), "```yaml\n")[1:]
		require.Len(t, blocks, 1, page)
		block, _, _ := strings.Cut(blocks[0], "```")
		var all struct{ Extensions map[string]any }
		require.NoError(t, yaml.Unmarshal([]byte(block), &all))
		one, err := yaml.Marshal(all.Extensions["dns"])
		require.NoError(t, err)
		_, err = load(t, string(one))
		require.NoError(t, err, page)
	}
}

// The first example shows the defaults.
func TestREADMEDefaults(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	defaults := createDefaultConfig()
	require.Contains(t, string(readme), "endpoint: "+defaults.Endpoints[0])
	require.Contains(t, string(readme), "others_per_second: 200")
	require.Equal(t, 200, defaults.RateLimit.OthersPerSecond)
}

// Every metric is in the README.
func TestREADMEMetrics(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	source, err := os.ReadFile("metrics.go")
	require.NoError(t, err)
	names := map[string]bool{}
	for _, part := range strings.Split(string(source), `"lockkeeper_dns_`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		names["lockkeeper_dns_"+name] = true
		require.Contains(t, string(readme), "`lockkeeper_dns_"+name)
	}
	require.Greater(t, len(names), 10)
}
