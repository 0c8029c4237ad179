package xds

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The fan-out benchmarks take out a machine that has an endpoint in 50 of 100 clusters of 100 endpoints, and put it back. Each client has a stream, of the first 8,000 on a connection
// of its own over loopback, subscribes to all 100 assignments by delta, and acknowledges. Our server and one of go-control-plane's LinearCache, each in a process of its own, take
// turns; the clients of both are in this process, on the same processors. An operation is five rounds of each, or one.
func BenchmarkFanout1000(b *testing.B)  { benchmarkFanout(b, 1_000, 5) }
func BenchmarkFanout10000(b *testing.B) { benchmarkFanout(b, 10_000, 1) }

// fanout is one server with its clients.
type fanout struct {
	name    string
	in      io.Writer
	said    *bufio.Reader
	clients *fanClients

	latencies []time.Duration
	cpu       time.Duration
	out       bool
}

func benchmarkFanout(b *testing.B, clients, rounds int) {
	both := []*fanout{startFanout(b, fanOurs, clients), startFanout(b, fanLinear, clients)}
	for _, f := range both { // what is built up at the first change is not the bill's
		f.round(b)
		f.latencies, f.cpu = nil, 0
	}
	for b.Loop() {
		for range rounds {
			for _, f := range both {
				f.round(b)
			}
		}
	}
	ours, linear := both[0], both[1]
	for _, f := range both {
		slices.Sort(f.latencies)
		_, memory := f.usage(b)
		b.ReportMetric(milliseconds(f.quantile(.5)), "p50-ms-"+f.name)
		b.ReportMetric(milliseconds(f.quantile(.99)), "p99-ms-"+f.name)
		b.ReportMetric(milliseconds(f.cpu)/float64(len(f.latencies)/clients), "CPU-ms/push-"+f.name)
		b.ReportMetric(float64(memory)/(1<<20), "peak-MiB-"+f.name)
	}
	b.ReportMetric(float64(ours.quantile(.99))/float64(linear.quantile(.99)), "p99-×"+fanLinear)
	b.ReportMetric(float64(ours.cpu)/float64(linear.cpu), "CPU-×"+fanLinear)
	memory, err := mostMemory()
	require.NoError(b, err)
	b.ReportMetric(float64(memory)/(1<<20), "peak-MiB-clients")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// startFanout starts a server, and connects clients to it.
func startFanout(b *testing.B, name string, clients int) *fanout {
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Dir, cmd.Stderr = append(os.Environ(), fanEnvironment+"="+name), b.TempDir(), os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	said, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		require.NoError(b, in.Close()) // it ends
		require.NoError(b, cmd.Wait())
	})
	f := &fanout{name: name, in: in, said: bufio.NewReader(said)}
	var address string
	f.hear(b, &address)
	f.clients = openFanClients(b, name, address, clients)
	f.clients.wait(b)
	return f
}

// round makes one change and waits until all clients have it.
func (f *fanout) round(b *testing.B) {
	cpu, _ := f.usage(b)
	f.out = !f.out
	start := time.Now()
	f.say(b, map[bool]string{true: "out", false: "back"}[f.out])
	for _, at := range f.clients.wait(b) {
		f.latencies = append(f.latencies, at.Sub(start))
	}
	used, _ := f.usage(b)
	f.cpu += used - cpu
}

func (f *fanout) usage(b *testing.B) (cpu time.Duration, memory int64) {
	f.say(b, "usage")
	f.hear(b, &cpu, &memory)
	return cpu, memory
}

func (f *fanout) say(b *testing.B, what string) {
	_, err := fmt.Fprintln(f.in, what)
	require.NoError(b, err)
}

func (f *fanout) hear(b *testing.B, to ...any) {
	_, err := fmt.Fscanln(f.said, to...)
	require.NoError(b, err, "the server of %s does not answer", f.name)
}

// quantile is of the sorted latencies.
func (f *fanout) quantile(q float64) time.Duration {
	return f.latencies[min(len(f.latencies)-1, int(q*float64(len(f.latencies))))]
}
