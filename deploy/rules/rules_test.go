// Package rules has no code but its tests: what the rule files say is checked, and that each rule has a unit test that can fail.
package rules

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const runbooks = "https://github.com/lockkeeper/lockkeeper/blob/main/deploy/rules/runbooks/"

// pack reads all rule files, as Prometheus does.
func pack(t *testing.T) map[string]*rulefmt.RuleGroups {
	t.Helper()
	files, err := filepath.Glob("*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	all := map[string]*rulefmt.RuleGroups{}
	for _, file := range files {
		groups, errs := rulefmt.ParseFile(file, false, model.UTF8Validation, promQL(), slog.New(slog.DiscardHandler))
		require.Empty(t, errs)
		all[file] = groups
	}
	return all
}

func promQL() parser.Parser { return parser.NewParser(parser.Options{}) }

// each calls f for every rule.
func each(all map[string]*rulefmt.RuleGroups, f func(file string, rule *rulefmt.Rule)) {
	for file, groups := range all {
		for g := range groups.Groups {
			for r := range groups.Groups[g].Rules {
				f(file, &groups.Groups[g].Rules[r])
			}
		}
	}
}

func TestAlertsSayWhatTheyMean(t *testing.T) {
	all, readme := pack(t), strings.Split(read(t, "README.md"), "\n")
	names := map[string]bool{}
	each(all, func(file string, rule *rulefmt.Rule) {
		if rule.Alert == "" {
			return
		}
		names[rule.Alert] = true
		require.Contains(t, []string{"page", "ticket", "info"}, rule.Labels["severity"], rule.Alert)
		require.NotEmpty(t, rule.Labels["owner"], rule.Alert)
		require.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
		require.Contains(t, rule.Annotations["description"], "{{", rule.Alert)
		require.Equal(t, runbooks+rule.Alert+".md", rule.Annotations["runbook_url"])
		row := "| [" + rule.Alert + "](runbooks/" + rule.Alert + ".md) | " + rule.Labels["severity"] + " |"
		after := "| " + strings.Replace(rule.For.String(), "0s", "–", 1) + " |"
		require.True(t, slices.ContainsFunc(readme, func(line string) bool {
			return strings.HasPrefix(line, row) && strings.HasSuffix(line, after)
		}), "README.md has no line %s … %s (%s)", row, after, file)
		page := read(t, "runbooks/"+rule.Alert+".md")
		require.True(t, strings.HasPrefix(page, "# "+rule.Alert+"\n"), "runbooks/%s.md", rule.Alert)
		if flag := regexp.MustCompile(`\bflag="(\w+)"`).FindStringSubmatch(rule.Expr); flag != nil {
			require.Contains(t, page, "lockkeeper explain "+flag[1])
		}
	})
	pages, err := filepath.Glob("runbooks/*.md")
	require.NoError(t, err)
	for _, page := range pages {
		require.True(t, names[strings.TrimSuffix(filepath.Base(page), ".md")], "%s is no rule's", page)
	}
}

// An owner is found the same way in all rules.
func TestOwners(t *testing.T) {
	const service = `{{ reReplaceAll "^([A-Za-z][^.:]*)[.:].*" "$1" $labels.destination_service }}`
	known := []string{
		"platform",
		"{{ $labels.owner }}",
		"{{ $labels.app }}",
		"{{ $labels.destination_workload }}",
		service,
		`{{ if eq $labels.destination_app "unknown" }}` + service + `{{ else }}{{ $labels.destination_app }}{{ end }}`,
	}
	each(pack(t), func(_ string, rule *rulefmt.Rule) {
		if rule.Alert != "" {
			require.Contains(t, known, rule.Labels["owner"], rule.Alert)
		}
	})
}

// A rule on a metric that nobody writes would be silent for ever.
func TestMetricsExist(t *testing.T) {
	all := pack(t)
	known := documented(t)
	known["up"] = true
	for name := range strings.Lines(read(t, "testdata/node_exporter.txt")) { // package main's tests hold that a real one has them
		known[strings.TrimSpace(name)] = true
	}
	for _, name := range []string{"enqueue_failed_log_records", "send_failed_log_records"} {
		known["otelcol_exporter_"+name] = true // the README tells of data points, and that records are alike
	}
	each(all, func(_ string, rule *rulefmt.Rule) { known[rule.Record] = true })
	each(all, func(file string, rule *rulefmt.Rule) {
		expr, err := promQL().ParseExpr(rule.Expr)
		require.NoError(t, err)
		parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
			if selector, ok := node.(*parser.VectorSelector); ok {
				name := strings.TrimSuffix(selector.Name, "_bucket")
				require.True(t, known[name], "%s: %s%s: nobody writes %q", file, rule.Alert, rule.Record, selector.Name)
			}
			return nil
		})
	})
}

// documented are the metrics that the components' pages tell of.
func documented(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, component := range []string{"envoy", "failover", "pluginhost", "storage"} {
		for _, name := range regexp.MustCompile("`((?:istio|lockkeeper|otelcol)_[a-z_]+)").FindAllStringSubmatch(read(t, "../../gateway/"+component+"/README.md"), -1) {
			names[name[1]] = true
		}
	}
	require.True(t, names["istio_requests_total"] && names["lockkeeper_plugin_up"] && names["otelcol_exporter_queue_size"])
	return names
}

// One bad day must not become what is usual.
func TestBaselinesAreMedians(t *testing.T) {
	each(pack(t), func(_ string, rule *rulefmt.Rule) {
		if n := strings.Count(rule.Expr, "offset"); n > 1 && rule.Record != "" {
			require.Equal(t, 3, n, rule.Record)
			require.Contains(t, rule.Expr, "quantile without (day) (0.5,", rule.Record)
		}
	})
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

// unitTest is a file of unit tests, and those of its groups that speak of a rule.
type unitTest struct {
	file   string
	groups []string
}

// testsOf are the unit tests that load a rule file and name one of its rules.
func testsOf(t *testing.T, file, rule string) (tests []unitTest) {
	t.Helper()
	all, err := filepath.Glob("tests/*.yaml")
	require.NoError(t, err)
	for _, test := range all {
		var content struct {
			Files  []string    `yaml:"rule_files"`
			Groups []yaml.Node `yaml:"tests"`
		}
		require.NoError(t, yaml.Unmarshal([]byte(read(t, test)), &content))
		if !slices.Contains(content.Files, "../"+file) {
			continue
		}
		found := unitTest{file: test}
		for _, group := range content.Groups {
			text, err := yaml.Marshal(&group)
			require.NoError(t, err)
			var name struct{ Name string }
			require.NoError(t, group.Decode(&name))
			if strings.Contains(string(text), rule) {
				found.groups = append(found.groups, name.Name)
			}
		}
		if found.groups != nil {
			tests = append(tests, found)
		}
	}
	require.NotEmpty(t, tests, "no unit test names %s", rule)
	return tests
}
