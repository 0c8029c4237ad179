package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValidate(t *testing.T) {
	f := func(config string, want ...string) {
		t.Helper()
		code, stdout, stderr := call(t, "validate", "--config", config)
		if len(want) == 0 {
			if code != 0 || stdout != "ok\n" {
				t.Errorf("%s: %d %s%s", config, code, stdout, stderr)
			}
			return
		}
		got := strings.Split(strings.ReplaceAll(strings.TrimSuffix(stderr, "\n"), "error: ", ""), "\n")
		if diff := cmp.Diff(want, got); diff != "" || code != 1 {
			t.Errorf("%s: exit %d (-want +got):\n%s", config, code, diff)
		}
	}
	const unknown = ": unknown key: remove it or correct its name; `lockkeeper config` prints every key"
	const m = "testdata/mistakes.yaml: "

	// All that there is.
	f("testdata/full.yaml")
	// The gateways of three sites.
	t.Setenv("GOSSIP_KEY", "QUFBQUFBQUFBQUFBQUFBQQ==")
	t.Chdir("../examples/sites")
	f("idc1.yaml")
	f("witness.yaml")
	// Applications and machines; a service account as Kubernetes gives one.
	t.Chdir("../layers")
	account := t.TempDir()
	rewrite(t, filepath.Join(account, "token"), "")
	rewrite(t, filepath.Join(account, "ca.crt"), "")
	t.Setenv("SERVICE_ACCOUNT", account)
	f("scrape.yaml")
	f("kubernetes.yaml")
	f("traces.yaml")
	t.Chdir("../../gateway")
	// Alerts and a pipeline of the default that end in a plugin, and nothing that runs plugins.
	f("testdata/storageless.yaml", "testdata/storageless.yaml: service::extensions: alerting wants the extension plugins: add it, or leave alerting out",
		"testdata/storageless.yaml: service::pipelines::logs: plugin/logs wants the extension plugins: "+
			"add it to service::extensions, or give this pipeline another exporter, such as debug")
	// Two of what there can be one of.
	f("testdata/two.yaml", "testdata/two.yaml: receivers::envoy/2: there is envoy already, and a gateway has one of these")
	// Several mistakes that one section finds itself, some of them in lists.
	f("testdata/probes.yaml",
		`testdata/probes.yaml: receivers::probes::targets::0::module: there is no module "entry": use one of dns, grpc, http, icmp, tcp`,
		`testdata/probes.yaml: receivers::probes::targets::1::target: "a" is not host:port`,
		"testdata/probes.yaml: receivers::probes::targets::1: interval: 1ms is too short: use 100ms or more",
	)
	// Every component's mistakes at once, each with its file and its keys.
	f("testdata/mistakes.yaml",
		m+"receivers::envoy::series::foo"+unknown,
		m+"receivers::envoy::flush_intervall"+unknown,
		m+`receivers::nope: there is no receiver "nope": use one of envoy, otlp, probes, prometheus`,
		m+"receivers::otlp::protocols::grpc::tls::x"+unknown,
		m+"receivers::otlp::protocols::grpc::endpoin"+unknown,
		m+"exporters::plugin/metrics::plugin: expected type 'string', got unconvertible type 'int'",
		m+"exporters::plugin/metrics::sending_queue::storag"+unknown,
		m+"extensions::console: endpoint: missing: the host:port to listen at, such as localhost:7070",
		m+`extensions::plugins::processes::victoriametrics: kind: "storge" is none of storage, alerting, notification`)
	// Values that are none, below keys that have dots.
	f("testdata/dots.yaml",
		"testdata/dots.yaml: receivers::probes::modules::entry::http::valid_status_codes::1: expected type 'int', got unconvertible type 'string'",
		`testdata/dots.yaml: extensions::dns::zones::gslb.example.com::names::api.eu::idcs::idc1::1: ParseAddr("foo"): unable to parse IP`)
	// Those of the files that it names.
	f("testdata/files.yaml",
		`testdata/files.yaml: receivers::probes::machines::file: testdata/files_machines.yaml:2: unknown key "adress"`,
		`testdata/files.yaml: receivers::probes::machines::file: testdata/files_machines.yaml:3: unknown key "rack"`,
		`testdata/files.yaml: extensions::xds::sources::1::file: testdata/files_machines.yaml:2: unknown key "adress"`,
		`testdata/files.yaml: extensions::xds::sources::1::file: testdata/files_machines.yaml:3: unknown key "rack"`,
		"testdata/files.yaml: extensions::xds::listeners: open testdata/none.yaml: no such file or directory",
		`testdata/files.yaml: extensions::xds::routes: testdata/machines.yaml:1: unknown key "machines"`)
	// An unknown section.
	f("testdata/section.yaml", "testdata/section.yaml: receiver"+unknown)
	// An unknown key of the Collector's own section.
	f("testdata/service.yaml", "testdata/service.yaml: service::telemetry::logs::lvl"+unknown)
	// Unknown keys among the Collector's HTTP settings, which take any.
	f("testdata/http.yaml",
		"testdata/http.yaml: receivers::otlp::protocols::http::endpont"+unknown,
		"testdata/http.yaml: exporters::otlp_http::header"+unknown,
		"testdata/http.yaml: extensions::health_check::pth"+unknown)
	// A pipeline with a receiver that is nowhere configured.
	f("testdata/pipeline.yaml", `service::pipelines::metrics: references receiver "jaeger" which is not configured`)
	// An extension that is nowhere configured.
	f("testdata/extension.yaml", `service::extensions: references extension "nowhere" which is not configured`)
	// Not YAML.
	f("testdata/syntax.yaml", "testdata/syntax.yaml: not valid YAML: yaml: line 2: did not find expected ',' or ']'")
	// No file.
	f("testdata/none.yaml", "testdata/none.yaml: unable to read the file file:testdata/none.yaml: open testdata/none.yaml: no such file or directory")
	// A mistake in a part of a configuration given as it is.
	f("yaml:receivers::envoy::flush_interval: 1ms",
		"yaml:receivers::envoy::flush_interval: 1ms: receivers::envoy: flush_interval: 1ms is too short: use 100ms or more")
}

func TestConfigMergesOverTheDefault(t *testing.T) {
	_, stdout, _ := call(t, "config", "--config", "yaml:receivers::envoy::endpoint: 0.0.0.0:9999", "--config", "yaml:service::extensions: [file_storage, plugins]")
	for _, want := range []string{
		"endpoint: 0.0.0.0:9999\n",                           // set
		"endpoint: localhost:7070\n",                         // the default's
		"  extensions:\n    - file_storage\n    - plugins\n", // a list replaces
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
}

func TestConfigPrintsNoSecret(t *testing.T) {
	t.Setenv("LOCKKEEPER_TEST_SECRET", "top-secret")
	code, stdout, stderr := call(t, "config", "--config", "testdata/secrets.yaml")
	if code != 0 || strings.Contains(stdout, "top-secret") || strings.Count(stdout, "[REDACTED]") < 6 {
		t.Errorf("%d %s\n%s", code, stdout, stderr)
	}
}

// What was checked is what runs, whatever happens to its files.
func TestSnapshot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "my.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("receivers: {envoy: {gateway: '${env:LOCKKEEPER_TEST_GATEWAY}'}}")
	t.Setenv("LOCKKEEPER_TEST_GATEWAY", "007")
	c, err := readConfiguration(t.Context(), &source{configs: []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("LOCKKEEPER_TEST_GATEWAY", "008")
	write("receivers: 3")
	factories, err := components()
	if err != nil {
		t.Fatal(err)
	}
	again, err := effective(context.Background(), c.settings, factories)
	if err != nil {
		t.Fatal(err)
	}
	if got := text(again, "receivers::envoy::gateway"); got != "007" {
		t.Errorf("got %s", got)
	}
}
