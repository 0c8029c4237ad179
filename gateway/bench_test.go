package main

import (
	"testing"
	"time"
)

// BenchmarkALS measures the whole gateway process, from Envoy's access logs to the storage plugin, loaded by another process
// until it is saturated. An operation is ten million entries: some flushes belong to it. Envoy's encoder may write the peers'
// fields in any order, so the first is what counts.
func BenchmarkALS(b *testing.B) {
	const entries = 10_000_000
	b.Run("8 mixed streams, any field order", func(b *testing.B) {
		benchmarkALS(b, entries, loadSpec{Streams: 8, Messages: 64, AnyOrder: true})
	})
	b.Run("8 mixed streams", func(b *testing.B) { benchmarkALS(b, entries, loadSpec{Streams: 8, Messages: 64}) })
	b.Run("8 mixed streams, any field order, TLS", func(b *testing.B) {
		benchmarkALS(b, entries, loadSpec{Streams: 8, Messages: 64, AnyOrder: true, CA: certificate(b)})
	})
}

// BenchmarkPaced is 200 streams that send 60,000 entries a second in all: each message comes alone. An operation is 20 seconds.
func BenchmarkPaced(b *testing.B) {
	benchmarkALS(b, 1_200_000, loadSpec{Streams: 200, Messages: 2, AnyOrder: true, Rate: 60_000})
}

// BenchmarkIdle is 5,000 streams, each on a connection of its own, that have said who they are and are silent since. What series
// take comes on top.
func BenchmarkIdle(b *testing.B) {
	const streams = 5000
	gateway := startGateway(b, "")
	load := startLoad(b, gateway.sink, loadSpec{Streams: streams})
	load.send(b, streams) // one message each
	wait(b, "all streams to be open", func() bool { return gateway.metric(b, "lockkeeper_als_streams") == streams })
	for b.Loop() {
		time.Sleep(40 * time.Second) // what the opening of the streams took is not all given back then
	}
	b.ReportMetric(residentMiB(b, gateway.pid), "RSS-MiB")
}

func benchmarkALS(b *testing.B, entries int, spec loadSpec) {
	gateway := startGateway(b, spec.CA)
	load := startLoad(b, gateway.sink, spec)
	load.send(b, 100_000) // every series is known from here on
	counted := gateway.waitCounted(b, 100_000)
	first, cpu, pluginCPU := counted, cpuSeconds(b, gateway.pid), cpuSeconds(b, gateway.pluginPID)
	for b.Loop() {
		load.send(b, entries)
	}
	counted = gateway.waitCounted(b, first+b.N*entries) // the last flush and its export belong to the bill
	millions := float64(counted-first) / 1e6
	b.ReportMetric((cpuSeconds(b, gateway.pid)-cpu)/millions, "CPU-s/M")
	b.ReportMetric((cpuSeconds(b, gateway.pluginPID)-pluginCPU)/millions, "plugin-CPU-s/M")
	b.ReportMetric(residentMiB(b, gateway.pid), "RSS-MiB")
}
