package main

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// layers is a gateway that scrapes as examples/layers tells it to, but more often.
type layers struct {
	addresses
	targets string // the directory
	args    []string
}

func newLayers(t *testing.T) *layers {
	t.Helper()
	l := &layers{addresses: freeAddresses(t), targets: t.TempDir()}
	l.args = []string{"--config", l.config(t, needsPlugins(t)), "--config", hastyScrapes(t)}
	t.Setenv("TARGETS", l.targets)
	return l
}

// hastyScrapes is scrape.yaml with another interval.
func hastyScrapes(t *testing.T) (file string) {
	t.Helper()
	text, err := os.ReadFile("../examples/layers/scrape.yaml")
	require.NoError(t, err)
	hasty := strings.ReplaceAll(string(text), "scrape_interval: 15s", "scrape_interval: 3s") // which is also how long a target may take
	require.NotEqual(t, string(text), hasty)
	return writeFile(t, hasty)
}

// target has an address scraped.
func (l *layers) target(t *testing.T, name, address, labels string) {
	t.Helper()
	rewrite(t, filepath.Join(l.targets, name+".yaml"), fmt.Sprintf("- {targets: [%q], labels: {%s}}\n", address, labels))
}

// exporter starts a program that listens at the address, and has it scraped.
func (l *layers) exporter(t *testing.T, job, address, labels string, cmd *exec.Cmd) *process {
	t.Helper()
	p := startCommand(t, cmd)
	l.target(t, job, address, "job: "+job+", "+labels)
	return p
}

// values asks for all values of a label.
func (a addresses) values(t *testing.T, label, selector string) []string {
	t.Helper()
	var answer struct{ Data []string }
	getJSON(t, "http://"+a.console+"/prometheus/api/v1/label/"+label+"/values?match[]="+url.QueryEscape(selector), &answer)
	return answer.Data
}

// series asks for all series of a selector, each as its labels without those of its target.
func (a addresses) series(t *testing.T, selector string) map[string]bool {
	t.Helper()
	var answer struct{ Data []model.Metric }
	getJSON(t, "http://"+a.console+"/prometheus/api/v1/series?match[]="+url.QueryEscape(selector), &answer)
	all := map[string]bool{}
	for _, metric := range answer.Data {
		for _, label := range []model.LabelName{"job", "instance", "host", "app"} {
			delete(metric, label)
		}
		all[metric.String()] = true
	}
	return all
}

// exposed are the series that a target tells of itself.
func exposed(t *testing.T, address string) map[string]bool {
	t.Helper()
	response, err := http.Get("http://" + address + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	all := map[string]bool{}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	require.NoError(t, err)
	for _, family := range families {
		samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{}, family)
		require.NoError(t, err)
		for _, sample := range samples {
			maps.DeleteFunc(sample.Metric, func(_ model.LabelName, value model.LabelValue) bool { return value == "" }) // which is as good as no label
			all[sample.Metric.String()] = true
		}
	}
	return all
}

// arrives waits until the storage has every series of a target, under its name and with its labels, but for those that are left out.
func (l *layers) arrives(t *testing.T, job, address string, left func(series string) bool) {
	t.Helper()
	selector := fmt.Sprintf("{job=%q}", job)
	var missing []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		told := exposed(t, address)
		stored := l.series(t, selector)
		maps.DeleteFunc(told, func(series string, _ bool) bool { return stored[series] || left(series) })
		missing = slices.Sorted(maps.Keys(told))
		if len(missing) == 0 && len(stored) > 5 {
			t.Logf("%s: %d series of %d metrics", job, len(stored), len(l.values(t, "__name__", selector)))
			return
		}
	}
	t.Errorf("%s: %d did not arrive: %q", job, len(missing), missing[:min(9, len(missing))])
}

// Real programs of each kind, as their own clients tell of them: names and labels arrive as they are; what ends is seen to have ended.
func TestLayersScrape(t *testing.T) {
	l := newLayers(t)
	nodeExporter, cadvisor := needsNodeExporter(t), needs(t, "exporters", "../.cache/tools/cadvisor", "make exporters")
	shop := newShop(t)
	startRun(t, l.args...).expect(t, "Lockkeeper is ready")
	at := map[string]string{}
	for _, job := range []string{"node", "cadvisor", "jvm", "node-js", "python"} {
		at[job] = freeAddress(t)
	}
	l.exporter(t, "node", at["node"], "host: machine-1", exec.Command(nodeExporter, "--web.listen-address="+at["node"]))
	l.exporter(t, "cadvisor", at["cadvisor"], "host: machine-1", exec.Command(cadvisor, at["cadvisor"])).expect(t, "listening")
	l.exporter(t, "jvm", at["jvm"], "app: orders, host: machine-1", shop.jvm(at["jvm"])).expect(t, "listening")
	l.exporter(t, "node-js", at["node-js"], "app: front", shop.node(at["node-js"])).expect(t, "listening")
	python := l.exporter(t, "python", at["python"], "app: stock", shop.python(at["python"]))
	python.expect(t, "listening")
	for range 5 {
		sell(t, at["jvm"], "/orders")
		sell(t, at["node-js"], "/orders")
	}
	l.arrives(t, "jvm", at["jvm"], func(string) bool { return false })
	l.arrives(t, "node-js", at["node-js"], func(string) bool { return false })
	l.arrives(t, "python", at["python"], func(series string) bool { return strings.Contains(series, "_created") })
	l.arrives(t, "node", at["node"], func(string) bool { return false })
	l.arrives(t, "cadvisor", at["cadvisor"], dropped)
	names := l.values(t, "__name__", `{job="node"}`)
	for name := range strings.Lines(readFile(t, "../deploy/rules/testdata/node_exporter.txt")) {
		require.Contains(t, names, strings.TrimSpace(name), "rules ask for it")
	}
	// A target that is dead has no values any more, but up; one that is no longer a target has not even that.
	_ = python.cmd.Process.Kill()
	l.until(t, `up{job="python"}`, "0")
	l.until(t, `count({job="python",__name__!~"up|scrape_.*"})`, "")
	l.until(t, `count({job="python"}) > bool 0`, "1")
	require.NoError(t, os.Remove(filepath.Join(l.targets, "python.yaml")))
	l.until(t, `count({job="python"})`, "")
	l.until(t, `up{job="jvm",app="orders",instance="`+at["jvm"]+`"}`, "1")
}

// dropped tells what scrape.yaml leaves out, and cgroups that come and go.
func dropped(series string) bool {
	for _, name := range []string{"container_tasks_state", "container_memory_numa_pages", "container_memory_failures", "container_cpu_load_", "container_cpu_schedstat_", "container_last_seen", "container_health_state", "container_blkio_"} {
		if strings.HasPrefix(series, name) {
			return true
		}
	}
	return strings.Contains(series, `id="/`)
}

func needsNodeExporter(t *testing.T) string {
	return needs(t, "exporters", "../.cache/tools/prometheus-node-exporter", "make exporters")
}

// shop is an application of several programs.
type shop struct{ java, nodeJS, pythonBinary, modules, jars string }

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{
		jars:         filepath.Dir(needs(t, "jvm", "../.cache/jvm/Shop.class", "make jvm")),
		modules:      filepath.Dir(needs(t, "exporters", "../.cache/shop/node_modules/prom-client", "make exporters")),
		pythonBinary: needs(t, "python", "../.cache/venv/bin/python", "make python"),
	}
	var err error
	if s.java, err = exec.LookPath("java"); err != nil {
		lacks(t, "jvm", "needs java")
	}
	if s.nodeJS, err = exec.LookPath("node"); err != nil {
		lacks(t, "exporters", "needs node")
	}
	if exec.CommandContext(t.Context(), s.pythonBinary, "-c", "import prometheus_client").Run() != nil {
		lacks(t, "python", "needs prometheus_client: make python")
	}
	return s
}

func (s *shop) jvm(address string) *exec.Cmd {
	return exec.Command(s.java, "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", s.jars+":"+s.jars+"/jars/*", "Shop", address)
}

func (s *shop) node(address string) *exec.Cmd {
	cmd := exec.Command(s.nodeJS, "../examples/layers/node/shop.js", address)
	cmd.Env = append(os.Environ(), "NODE_PATH="+s.modules)
	return cmd
}

func (s *shop) python(address string) *exec.Cmd {
	return exec.Command(s.pythonBinary, "../examples/layers/python/shop.py", address)
}

func sell(t *testing.T, address, path string) {
	t.Helper()
	response, err := http.Get("http://" + address + path)
	require.NoError(t, err)
	_ = response.Body.Close()
}
