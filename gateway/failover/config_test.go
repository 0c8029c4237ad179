package failover

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.yaml.in/yaml/v3"
)

// load reads the settings of the extension.
func load(t *testing.T, text string) (*Config, error) {
	t.Helper()
	var tree map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &tree))
	cfg := createDefaultConfig().(*Config)
	if err := confmap.NewFromStringMap(tree).Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, cfg.Validate()
}

func TestConfig(t *testing.T) {
	f := func(text string, want func(*Rules)) {
		t.Helper()
		cfg, err := load(t, "data_directory: d\n"+text)
		require.NoError(t, err)
		rules, err := cfg.rules()
		require.NoError(t, err)
		expected := DefaultRules()
		expected.IDCs, expected.Combine = map[string]IDC{}, rules.Combine
		want(&expected)
		require.Equal(t, expected, rules)
	}
	all := map[string]bool{"machine": true, "endpoint": true, "idc": true, "dns": false}
	f("", func(*Rules) {})
	f("mode: act", func(r *Rules) { r.Act = all })
	f("mode: observe", func(r *Rules) {
		r.Act = map[string]bool{"machine": false, "endpoint": false, "idc": false, "dns": false}
	})
	f("mode: {machine: act, idc: observe}", func(r *Rules) { r.Act = map[string]bool{"machine": true, "idc": false} })
	f("idcs: {a: {weight: 60, capacity_percent: 80}, b: {weight: 40}}", func(r *Rules) {
		r.IDCs = map[string]IDC{"a": {Weight: 60, CapacityPercent: 80}, "b": {Weight: 40, CapacityPercent: 100}}
	})
	f("profile: fast", func(r *Rules) { r.Thresholds, _ = Profile("fast") })
	f("profile: fast\nthresholds: {idc: {healthy: 20}}", func(r *Rules) {
		r.Thresholds, _ = Profile("fast")
		r.Thresholds["idc"] = Threshold{Unhealthy: 3, Healthy: 20}
	})
	f("combine: {idc: any, machine: 2, endpoint: all}", func(r *Rules) { r.Combine = map[string]Combine{"idc": 1, "machine": 2, "endpoint": 0} })
	f("idcs: {a: {weight: 100}}\nsites: {berlin: a, outside: ''}", func(r *Rules) {
		r.IDCs = map[string]IDC{"a": {Weight: 100, CapacityPercent: 100}}
		r.Sites = map[string]string{"berlin": "a", "outside": ""}
	})
	f("safety: {freeze_percent: 20}", func(r *Rules) { r.Safety.FreezePercent = 20 })
}

// All mistakes are told at once, each with its path.
func TestConfigMistakes(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := load(t, text)
		require.Error(t, err)
		for _, w := range want {
			require.ErrorContains(t, err, w)
		}
	}
	f("mode: acts\nprofile: slow\nidcs: {a: {weight: 60}, b: {weight: 50, capacity_percent: 0}}\nthresholds: {rack: {unhealthy: 3, healthy: 3}}\nsafety: {freeze_percent: 0}",
		"mode: acts: must be observe or act", `profile: there is no "slow"`, "idcs: the weights must sum to 100 percent; they sum to 110",
		"idcs::b::capacity_percent: ", "thresholds::rack: no such kind", "safety::freeze_percent: ", "data_directory: missing")
	f("mode: {machin: act, dns: act, idc: 1}", "mode::machin: no such kind", "mode::dns: cannot act", "mode::idc: 1: must be observe or act")
	f("combine: {idc: most}", `"most" is neither all, any nor a number`)
	f("combine: {idc: -1}", "combine::idc: ")
	f("thresholds: {idc: {unhealthy: -1}}", "thresholds::idc::unhealthy: ")
	f("idcs: {a: {weight: 100}}\nsites: {berlin: b}", `sites::berlin: "b" is not among idcs`)
	f("modes: act", "modes")
	f("idcs: {a: {weigth: 1}}", "weigth")
}

func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	text := string(readme)
	_, example, _ := strings.Cut(text, "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	var whole struct {
		Extensions struct {
			Failover map[string]any `yaml:"failover"`
		} `yaml:"extensions"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(example), &whole))
	inner, err := yaml.Marshal(whole.Extensions.Failover)
	require.NoError(t, err)
	cfg, err := load(t, string(inner))
	require.NoError(t, err)
	rules, err := cfg.rules()
	require.NoError(t, err)
	want := DefaultRules()
	want.Act = map[string]bool{"machine": true, "idc": true}
	want.IDCs = map[string]IDC{"idc1": {50, 100}, "idc2": {50, 100}}
	want.Combine = map[string]Combine{"idc": 0}
	require.Equal(t, want, rules, "what it shows are the defaults")
	require.Equal(t, createDefaultConfig().(*Config).Safety, cfg.Safety)

	// Every metric is documented, and every documented one is there.
	g := launch(t, acting(t.TempDir()))
	defer g.stop()
	documented := map[string]bool{}
	for _, found := range regexp.MustCompile("\\| `(lockkeeper_[a-z_]+)").FindAllStringSubmatch(text, -1) {
		documented[found[1]] = true
	}
	for name := range documented {
		if name == "lockkeeper_failover_weight_asked" || name == "lockkeeper_failover_alarms" || strings.HasPrefix(name, "lockkeeper_failover_shared") {
			continue // without a shift, while nothing is wrong, and of a gateway alone there is none
		}
		_, err := g.telemetry.GetMetric(name)
		require.NoError(t, err, name)
	}
	for name := range g.metrics.gauges {
		require.True(t, documented[name], name)
	}
	// Every alert's runbook is there.
	for _, alert := range []string{
		"IdcDead", "MachineEjected", "EndpointEjected", "FailoverObserve", "DnsAnswersDiffer", "FailoverStateBroken", "ShiftAborted",
		alarmName("none_healthy"), alarmName("abstain"), alarmName("quorum"), alarmName("freeze"), alarmName("capacity"), alarmName("last_one"), alarmName("budget"), alarmName("rate"),
		alarmName("disagree"), alarmName("rules_differ"), alarmName("clock"),
	} {
		require.Contains(t, text, `<a id="`+strings.ToLower(alert)+`"></a>`)
		require.Contains(t, text, "`"+alert)
	}
}

// What the page shows of several gateways is right, too.
func TestReadmeOfSites(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, example, _ := strings.Cut(string(readme), "## Several gateways")
	_, example, _ = strings.Cut(example, "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	var whole struct {
		Extensions struct {
			Failover Config `yaml:"failover"`
		} `yaml:"extensions"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(example), &whole))
	require.Equal(t, threeSites(), whole.Extensions.Failover.Sites)
}

func TestFactory(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.DataDirectory = t.TempDir()
	f, err := newFailover(cfg, newGatewayTelemetry(t))
	require.NoError(t, err)
	require.NoError(t, f.Shutdown(context.Background()), "it never started")
}
