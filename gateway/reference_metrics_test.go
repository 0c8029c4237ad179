package main

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

const metricsReference = "METRICS.md"

// measuring are the READMEs that have tables of metrics.
func measuring() []string {
	return []string{
		"envoy", "../probes", "failover", "dns", "../xds", "cluster", "alerting", "pluginhost", "storage", "console",
		"../plugins/storage/victoriametrics", "../plugins/storage/victorialogs", "../plugins/alerting/rules",
	}
}

// ownMetric is a name of ours, at the beginning of a table's cell or alone in quotes.
var ownMetric = regexp.MustCompile("`((?:lockkeeper|probe)_[a-z0-9_]+)")

// documentedMetrics are the names that tables of metrics have, and the rows as one page.
func documentedMetrics(t *testing.T) (names map[string]bool, page string) {
	names = map[string]bool{}
	var b strings.Builder
	b.WriteString("# Every metric of ours\n\nMade of the components' READMEs by `go test ./gateway -run Reference -update`; tests hold that the code has no other. Beside these there are Istio's standard metrics " +
		"(`istio_*`) and Envoy's own (`envoy_*`), both under their usual names, and the Collector's (`otelcol_*`).\n")
	for _, folder := range measuring() {
		readme, err := os.ReadFile(filepath.Join(folder, "README.md"))
		require.NoError(t, err)
		var rows []string
		for line := range strings.Lines(string(readme)) {
			if cell, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | "); ok && ownMetric.MatchString(cell) && strings.HasPrefix(line, "| `") {
				rows = append(rows, line)
				for _, found := range ownMetric.FindAllStringSubmatch(cell, -1) {
					names[found[1]] = true
				}
			}
		}
		fmt.Fprintf(&b, "\n## [%s](%s)\n\n| metric | meaning |\n|---|---|\n%s", filepath.Base(folder), filepath.ToSlash(filepath.Join(folder, "README.md")), strings.Join(rows, ""))
	}
	return names, b.String()
}

func TestReferenceOfMetrics(t *testing.T) {
	names, page := documentedMetrics(t)
	if *update {
		require.NoError(t, os.WriteFile(metricsReference, []byte(page), 0o644))
	}
	now, err := os.ReadFile(metricsReference)
	require.NoError(t, err)
	if diff := cmp.Diff(page, string(now)); diff != "" {
		t.Errorf("%s is not what the READMEs say (go test ./gateway -run Reference -update writes it):\n%s", metricsReference, diff)
	}
	literals := metricLiterals(t)
	for name := range literals {
		if fits(ownMetric, "`"+name) && !strings.HasSuffix(name, "_") && !names[name] {
			t.Errorf("%s is in no README's table of metrics", name)
		}
	}
	for name := range names {
		if !written(name, literals) {
			t.Errorf("%s is documented, but not in the code", name)
		}
	}
}

func fits(pattern *regexp.Regexp, text string) bool { return pattern.FindString(text) == text }

// written tells whether the code has a name, as a whole or put together: of a prefix, such as lockkeeper_dns_, and the rest, or of a prefix,
// something variable and the rest.
func written(name string, literals map[string]bool) bool {
	var begins bool
	for i := range name {
		if name[i] != '_' {
			continue
		}
		if literals[name[i+1:]] || begins && literals[name[i:]] {
			return true
		}
		begins = begins || literals[name[:i+1]]
	}
	return literals[name]
}

// metricLiterals are all texts in quotes that may be names of metrics, or the ends of such, in what is shipped.
func metricLiterals(t *testing.T) map[string]bool {
	texts := map[string]bool{}
	for _, folder := range []string{".", "../probes", "../xds", "../plugins"} {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					text, _ := strconv.Unquote(literal.Value)
					if name, labelled, ok := strings.Cut(text, "{"); ok && strings.Contains(labelled, "=") {
						text = name
					}
					if folder == "../probes" || !strings.HasPrefix(text, "probe_") { // elsewhere that is a finding of the doctor
						texts[text] = true
					}
				}
				return true
			})
			return nil
		})
		require.NoError(t, err)
	}
	return texts
}

// What a gateway with everything in it tells of itself is in the reference.
func TestReferenceOfMetricsIsWhatIsEmitted(t *testing.T) {
	plugins := needsPlugins(t)
	a, dns, xds := freeAddresses(t), freeAddress(t), freeAddress(t)
	everything := writeFile(t, fmt.Sprintf(`
receivers:
  probes: {targets: [{module: tcp, target: %q, subject: idc/idc1/entry}, {module: icmp, target: 127.0.0.1, subject: machine/m1, idc: idc1}]}
extensions:
  failover: {idcs: {idc1: {weight: 50}, idc2: {weight: 50}}, sites: {berlin: idc1}}
  dns: {endpoint: %q, zones: {gslb.example.com: {ns: {ns1.gslb.example.com: 192.0.2.53}, names: {api: {idcs: {idc1: [192.0.2.1], idc2: [198.51.100.1]}}}}}}
  xds: {endpoint: %q, sources: [{file: testdata/endpoints.yaml}, {file: testdata/machines.yaml}]}
  cluster: {name: one, site: berlin, endpoint: %q, keys: ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]}
service: {extensions: [file_storage, plugins, alerting, failover, cluster, xds, dns, console]}
`, a.console, dns, xds, freeAddress(t)))
	p := startRun(t, "--config", a.config(t, plugins), "--config", everything)
	p.expect(t, "Lockkeeper is ready")
	names, _ := documentedMetrics(t)
	emitted := map[string]bool{}
	require.Eventually(t, func() bool {
		maps.Copy(emitted, scraped(t, "http://"+a.self+"/metrics"))
		return emitted["lockkeeper_failover_decisions_total"] && emitted["lockkeeper_cluster_members"] && emitted["lockkeeper_plugin_up"]
	}, patience, 200*time.Millisecond)
	for name := range emitted {
		if fits(ownMetric, "`"+name) {
			require.True(t, names[name], "%s is emitted, and in no README's table of metrics", name)
		}
	}
	t.Logf("%d names of ours are documented, %d were seen here", len(names), len(slices.Collect(maps.Keys(emitted))))
}

// scraped are the names of the metrics that a Prometheus endpoint tells.
func scraped(t *testing.T, url string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	response, err := http.Get(url)
	if err != nil {
		return names // not there yet
	}
	defer func() { _ = response.Body.Close() }()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "# TYPE "); ok {
			name, _, _ = strings.Cut(name, " ")
			names[name] = true
		}
	}
	return names
}
