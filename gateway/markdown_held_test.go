package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// held is a block of code, and the test that runs it, or reads it as what it is: the test's folder and its name.
type held struct {
	file, begins string // what it begins with; empty: all blocks of the page
	test         string
}

// heldBlocks are those that no test in this folder knows by their kind.
func heldBlocks() []held {
	return []held{
		{"README.md", "make build envoy ", "examples/quickstart TestREADMEQuickstart"},
		{"README.md", "cat > .cache/my-rules.yaml ", "examples/quickstart TestREADMEQuickstart"},
		{"deploy/helm/README.md", "image:", "deploy TestChart"},
		{"deploy/rules/README.md", "rule_files:", "deploy/rules TestREADME"},
		{"deploy/rules/README.md", "      - record:", "deploy/rules TestREADME"},
		{"examples/plugins/README.md", "", "examples/plugins TestREADME"},
		{"examples/plugins/python/README.md", "", "examples/plugins TestPythonREADME"},
		{"gateway/COMMANDS.md", "", "gateway TestExamples"},
		{"gateway/alerting/README.md", "route:", "gateway/alerting TestReadme"},
		{"gateway/alerting/README.md", "# prometheus.yml", "gateway TestPrometheusSendsAlerts"},
		{"gateway/alerting/README.md", "# ~/.config/amtool/config.yml", "gateway TestAmtool"},
		{"gateway/dns/DELEGATION.md", "gslb ", "gateway TestDelegation"},
		{"gateway/dns/DELEGATION.md", `{"Changes"`, "gateway TestDelegationInRoute53"},
		{"gateway/envoy/README.md", "tls:", "gateway TestGrayEndpointsAndEnvoys"},
		{"gateway/envoy/README.md", "transport_socket:", "gateway TestGrayEndpointsAndEnvoys"},
		{"gateway/failover/SCENARIOS.md", "about:", "gateway/failover TestScenariosPage"},
		{"plugins/alerting/rules/README.md", "groups:", "plugins/alerting/rules TestREADME"},
		{"probes/README.md", "machines:", "probes TestMachinesExampleOfREADME"},
		{"sdk/README.md", "package main", "sdk/sdktest TestPrograms"},
		{"xds/README.md", "clusters:", "xds TestREADMEExample"},
		{"xds/README.md", "resources:", "xds TestREADMEExample"},
		{"xds/README.md", "{", "xds TestGRPCFollows"},
	}
}

// held is what holds the block right.
func (b block) held() (held, bool) {
	for _, h := range heldBlocks() {
		if b.file == h.file && strings.HasPrefix(b.text, h.begins) {
			return h, true
		}
	}
	return held{}, false
}

// requireTest fails unless there is such a test: its folder and its name.
func requireTest(t *testing.T, test string) {
	t.Helper()
	folder, name, _ := strings.Cut(test, " ")
	files, err := filepath.Glob(filepath.Join("..", folder, "*_test.go"))
	require.NoError(t, err)
	declaration := regexp.MustCompile(`(?m)^func ` + name + `\(t \*testing\.T\)`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		if declaration.Match(text) {
			return
		}
	}
	t.Errorf("there is no test %s in %s", name, folder)
}
