package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/VictoriaMetrics/VictoriaMetrics/lib/prompb"
	"github.com/golang/snappy"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/lockkeeper/lockkeeper/plugins/storage/storagetest"
)

const (
	benchSeries = 20_000
	benchBatch  = 1_000
	benchFlight = 4 // requests under way
)

// BenchmarkExport sends encoded batches of 1,000 samples, 20 k series with 10 of Istio's labels, through go-plugin
// with AutoMTLS and reports samples per second of CPU time of both processes together. The plugin's time goes on
// until everything is on disk.
func BenchmarkExport(b *testing.B) {
	p := start(b, b.TempDir())
	batches := make([][]byte, benchSeries/benchBatch)
	for i := range batches {
		batches[i] = batch(b, i)
	}
	b.SetBytes(int64(len(batches[0])))
	buffers := sync.Pool{New: func() any { return new([]byte) }}
	measure(b, p, func(i int) error {
		buffer := buffers.Get().(*[]byte)
		defer buffers.Put(buffer)
		*buffer = append((*buffer)[:0], batches[i%len(batches)]...)
		stamp(*buffer, time.Now())
		return p.Export(b.Context(), storagetest.ExportMetrics, *buffer)
	})
}

// measure calls send for each batch, several at a time.
func measure(b *testing.B, p *process, send func(batch int) error) {
	sendAll := func(n int) {
		var flight sync.WaitGroup
		next := make(chan int)
		for range benchFlight {
			flight.Go(func() {
				for i := range next {
					if err := send(i); err != nil {
						b.Error(err)
					}
				}
			})
		}
		for i := range n {
			next <- i
		}
		close(next)
		flight.Wait()
	}
	sendAll(benchSeries / benchBatch) // the series exist
	host, plugin, began := cpuSelf(b), cpuOf(b, p.Command.Process.Pid), time.Now()
	b.ResetTimer()
	sendAll(b.N)
	b.StopTimer()
	elapsed := time.Since(began)
	p.StopOnly()
	host, plugin = cpuSelf(b)-host, cpuOf(b, p.Command.Process.Pid)-plugin
	samples := float64(b.N) * benchBatch
	b.ReportMetric(samples/(host+plugin).Seconds(), "samples/s/core")
	b.ReportMetric(samples/elapsed.Seconds(), "samples/s")
	b.ReportMetric(host.Seconds()/samples*1e6, "host-CPU-µs/sample")
	b.ReportMetric(plugin.Seconds()/samples*1e6, "plugin-CPU-µs/sample")
}

const benchTime = 0x1122334455667788 // what stamp replaces

func batch(b testing.TB, number int) []byte {
	m := pmetric.NewMetrics()
	metric := m.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("istio_requests_total")
	sum := metric.SetEmptySum()
	sum.SetIsMonotonic(true)
	for i := range benchBatch {
		series := number*benchBatch + i
		point := sum.DataPoints().AppendEmpty()
		point.SetTimestamp(pcommon.Timestamp(benchTime))
		point.SetDoubleValue(float64(series))
		for _, label := range benchLabels(series) {
			point.Attributes().PutStr(label[0], label[1])
		}
	}
	request, err := pmetricotlp.NewExportRequestFromMetrics(m).MarshalProto()
	if err != nil {
		b.Fatal(err)
	}
	return request
}

func benchLabels(series int) [][2]string {
	return [][2]string{
		{"reporter", "source"},
		{"source_app", fmt.Sprintf("client-%d", series%50)},
		{"source_version", fmt.Sprintf("v%d", series%3)},
		{"destination_app", fmt.Sprintf("server-%d", series/50%50)},
		{"destination_version", fmt.Sprintf("v%d", series/50%3)},
		{"destination_service_name", fmt.Sprintf("server-%d", series/50%50)},
		{"request_protocol", "http"},
		{"response_code", strconv.Itoa(200 + series/2500)},
		{"response_flags", "-"},
		{"connection_security_policy", "mutual_tls"},
	}
}

func stamp(request []byte, now time.Time) {
	mark := binary.LittleEndian.AppendUint64(nil, benchTime)
	for {
		at := bytes.Index(request, mark)
		if at < 0 {
			return
		}
		binary.LittleEndian.PutUint64(request[at:], uint64(now.UnixNano()))
		request = request[at+len(mark):]
	}
}

func cpuSelf(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// cpuOf is utime+stime of a process, in ticks of 10 ms.
func cpuOf(b *testing.B, pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skip("needs /proc to read the plugin's CPU time")
	}
	_, text, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(text)
	ticks := 0
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// BenchmarkRemoteWrite is the same load as Prometheus remote write over plain HTTP: what the export competes with.
// The time that the sender takes to encode is in it, because remote write cannot be encoded before.
func BenchmarkRemoteWrite(b *testing.B) {
	p := start(b, b.TempDir())
	requests := make([]prompb.WriteRequest, benchSeries/benchBatch)
	for i := range requests {
		for j := range benchBatch {
			series := prompb.TimeSeries{Samples: []prompb.Sample{{Value: float64(j)}}}
			series.Labels = append(series.Labels, prompb.Label{Name: "__name__", Value: "istio_requests_total"})
			for _, label := range benchLabels(i*benchBatch + j) {
				series.Labels = append(series.Labels, prompb.Label{Name: label[0], Value: label[1]})
			}
			requests[i].Timeseries = append(requests[i].Timeseries, series)
		}
	}
	var mu [benchSeries / benchBatch]sync.Mutex
	measure(b, p, func(i int) error {
		i %= len(requests)
		mu[i].Lock()
		defer mu[i].Unlock()
		now := time.Now().UnixMilli()
		for j := range requests[i].Timeseries {
			requests[i].Timeseries[j].Samples[0].Timestamp = now
		}
		body := snappy.Encode(nil, requests[i].MarshalProtobuf(nil))
		response, err := http.Post(p.Info.GetRemoteWriteUrl(), "application/x-protobuf", bytes.NewReader(body))
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusNoContent {
			return fmt.Errorf("remote write: %s", response.Status)
		}
		return nil
	})
}
