package main

import (
	"fmt"
	"testing"
	"time"
)

// Each of two gateways writes to the storage of both, as examples/sites has it: either storage has all, also what came while the other one was away.
func TestStorageInBothIDCs(t *testing.T) {
	plugins := needsPlugins(t)
	all := []addresses{freeAddresses(t), freeAddresses(t)}
	receive := []string{freeAddress(t), freeAddress(t)}
	run := func(own int) {
		startRun(t, "--config", all[own].config(t, plugins), "--config", writeFile(t, fmt.Sprintf(`
receivers:
  envoy: {gateway: gateway%d}
  otlp/there: {protocols: {grpc: {endpoint: %q}}}
exporters:
  otlp_grpc/there:
    endpoint: %q
    tls: {insecure: true}
    sending_queue: {storage: file_storage}
    retry_on_failure: {initial_interval: 100ms, max_interval: 1s, max_elapsed_time: 0s}
service:
  pipelines:
    metrics: {exporters: [plugin/metrics, otlp_grpc/there]}
    metrics/there: {receivers: [otlp/there], exporters: [plugin/metrics]}
`, own, receive[own], receive[1-own]))).expect(t, "Lockkeeper is ready")
	}
	const entries, sum = 5000, "sum(istio_requests_total) >= bool %d"
	run(0)
	sendOnce(t, all[0].sink, entries)
	all[0].until(t, fmt.Sprintf(sum, entries), "1")
	time.Sleep(2 * time.Second) // some samples wait for the other one
	run(1)
	sendOnce(t, all[1].sink, entries)
	for _, gateway := range all {
		gateway.until(t, fmt.Sprintf(sum, 2*entries), "1")
		gateway.until(t, `count(count by (gateway) (istio_requests_total))`, "2")
	}
	first := `min_over_time(timestamp(sum(istio_requests_total{gateway="gateway0"}))[10m:1s])`
	all[1].until(t, first, all[0].query(t, first))
}
