package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/confmap"
)

// In a cluster each gateway's own series have its name, but where something else is said; alone they are as they were.
func TestNaming(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		conf, err := resolve(t.Context(), settings([]location{{"test", "yaml:" + text}}, snapshot{}))
		if err != nil {
			t.Fatal(err)
		}
		got, err := conf.Sub("receivers")
		if err != nil {
			t.Fatal(err)
		}
		wanted, err := confmap.NewRetrievedFromYAML([]byte(want))
		if err != nil {
			t.Fatal(err)
		}
		expected, err := wanted.AsConf()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(expected.ToStringMap(), got.ToStringMap()); diff != "" {
			t.Error(diff)
		}
	}
	const receivers = `receivers: {envoy: , envoy/other: {gateway: mine}, probes: {flush_interval: 1s}, otlp: {protocols: {}}, prometheus/self: {config: {scrape_configs: [
{job_name: lockkeeper, static_configs: [{targets: [a]}, {targets: [b], labels: {gateway: mine}}]}, {job_name: other, static_configs: [{targets: [c]}]}]}}}`
	f(receivers, receivers[len("receivers: "):])
	named := func(name string) string {
		return `{envoy: {gateway: ` + name + `}, envoy/other: {gateway: mine}, probes: {flush_interval: 1s, gateway: ` + name + `}, otlp: {protocols: {}},
prometheus/self: {config: {scrape_configs: [{job_name: lockkeeper, static_configs: [{targets: [a], labels: {gateway: ` + name + `}}, {targets: [b], labels: {gateway: mine}}]},
{job_name: other, static_configs: [{targets: [c]}]}]}}}`
	}
	f(receivers+"\nextensions: {cluster: {name: berlin}}\nservice: {extensions: [console, cluster]}", named("berlin"))
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	f(receivers+"\nextensions: {cluster: }\nservice: {extensions: [cluster]}", named(host))
	// configured, and not in use
	f(receivers+"\nextensions: {cluster: {name: berlin}}\nservice: {extensions: [console]}", receivers[len("receivers: "):])
}

// The label instance of the self metrics is the gateway's name, after each start the same, but where something else is said.
func TestNamingOfSelfMetrics(t *testing.T) {
	f := func(text string, want any) {
		t.Helper()
		conf, err := resolve(t.Context(), settings([]location{{"test", "yaml:" + text}}, snapshot{}))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, conf.Get("service::telemetry::resource::attributes")); diff != "" {
			t.Error(diff)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	is := func(name, value string) any { return map[string]any{"name": name, "value": value} }
	f(defaultConfig, []any{is(instanceID, host)})
	f("extensions: {cluster: {name: berlin}}\nservice: {extensions: [cluster], telemetry: {logs: {level: warn}}}", []any{is(instanceID, "berlin")})
	f("service: {telemetry: {resource: {attributes: [{name: zone, value: a}]}}}", []any{is(instanceID, host), is("zone", "a")})
	f("service: {telemetry: {resource: {attributes: [{name: service.instance.id, value: mine}]}}}", []any{is(instanceID, "mine")})
	f("service: {telemetry: {resource: {service.instance.id: mine}}}", nil)
	f("service: {telemetry: {resource: {zone: a}}}", nil)
	f("service: {extensions: []}", nil)
}
