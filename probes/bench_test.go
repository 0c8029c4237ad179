package probes

import (
	"context"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// bench probes one after the other, and tells the CPU time of both sides.
func bench(b *testing.B, module Module, target Target) {
	b.Helper()
	module.Timeout = 10 * time.Second
	probe, err := kinds()[module.Prober].open(&module, surroundings{})
	require.NoError(b, err)
	var before, after syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &before))
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithTimeout(b.Context(), module.Timeout)
		if r := probe(ctx, &target); !r.OK {
			b.Fatal(r.Reason)
		}
		cancel()
	}
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &after))
	cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(cpu)/1e3/float64(b.N), "cpu-µs/op")
}

func BenchmarkHTTPProbe(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	bench(b, defaultModule("http"), Target{Target: server.URL})
}

func BenchmarkHTTPSProbe(b *testing.B) {
	address, ca := serveTLS(b, time.Now().Add(time.Hour))
	m := defaultModule("http")
	m.HTTP.TLS.CAFile = ca
	bench(b, m, Target{Target: "https://api.example.com", Address: address})
}

func BenchmarkTCPProbe(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	bench(b, defaultModule("tcp"), Target{Target: server.Listener.Addr().String()})
}
