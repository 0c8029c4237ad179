package envoy

import (
	"fmt"
	"testing"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

func TestPolicy(t *testing.T) {
	f := func(policy string, want ...string) {
		t.Helper()
		r, sink := newRecording(t, func(c *Config) { c.AccessLogs = policy })
		s := stream(t, r)
		for _, code := range []uint32{200, 404, 503} {
			require.NoError(t, s.Add(encoded(t, request(fmt.Sprint(code), code, "/"))))
		}
		require.NoError(t, r.flush(t.Context()))
		require.Equal(t, want, ids(sink))
		require.EqualValues(t, len(want), r.records.Load())
		require.Zero(t, r.bytes)
	}
	f("none")
	f("errors", "503")
	f("all", "200", "404", "503")
	f("1", "200", "404", "503")
	// hardly any, but all errors
	f("0.000000001", "503")
}

func TestNothingIsWantedWithoutLogsPipeline(t *testing.T) {
	r, _ := newRecording(t, func(c *Config) { c.AccessLogs = "all" })
	r.nextLogs = nil
	require.True(t, r.idle())
	require.False(t, r.want(true))
}

// The source's and the destination's entry of a request are kept or dropped together, and the share is kept to.
func TestRatioIsByRequest(t *testing.T) {
	r, sink := newRecording(t, func(c *Config) { c.AccessLogs = "0.25" })
	source, destination := stream(t, r), stream(t, r)
	const n = 4000
	for i := range n {
		id := fmt.Sprintf("req-%05d", i) // ids that differ little
		require.NoError(t, source.Add(encoded(t, request(id, 200, "/"))))
		require.NoError(t, destination.Add(encoded(t, request(id, 200, "/as-rewritten"))))
	}
	require.NoError(t, r.flush(t.Context()))
	count := map[string]int{}
	for _, id := range ids(sink) {
		count[id]++
	}
	require.InDelta(t, n/4, len(count), n/40)
	for id, reporters := range count {
		require.Equal(t, 2, reporters, id)
	}
}

func TestRequestHash(t *testing.T) {
	entry := func(change func(*accesslogdatav3.HTTPAccessLogEntry)) uint64 {
		e := request("", 200, "/").GetHttpLogs().GetLogEntry()[0]
		change(e)
		return requestHash(encoded(t, e))
	}
	byRequest := entry(func(e *accesslogdatav3.HTTPAccessLogEntry) { e.Request.RequestId = "a" })
	// a stream id is as good as a request id
	require.Equal(t, byRequest, entry(func(e *accesslogdatav3.HTTPAccessLogEntry) { e.CommonProperties.StreamId = "a" }))
	require.NotEqual(t, byRequest, entry(func(e *accesslogdatav3.HTTPAccessLogEntry) { e.CommonProperties.StreamId = "b" }))
	// without any the entries still differ
	require.NotEqual(t, entry(func(e *accesslogdatav3.HTTPAccessLogEntry) { e.Request.Path = "/a" }), entry(func(e *accesslogdatav3.HTTPAccessLogEntry) {}))
}

func TestAccessLogsMayBeANumber(t *testing.T) {
	f := func(value any, want string) {
		t.Helper()
		c, err := load(t, confmap.NewFromStringMap(map[string]any{"access_logs": value}))
		require.NoError(t, err)
		require.Equal(t, want, c.AccessLogs)
	}
	f(0.01, "0.01")
	f("0.01", "0.01")
	f(1, "1")
	f(1e-9, "1e-09")
	f("errors", "errors")
}

// BenchmarkSee is what a record costs its stream.
func BenchmarkSee(b *testing.B) {
	for _, policy := range []string{"none", "errors", "0.01", "all"} {
		b.Run(policy, func(b *testing.B) {
			r, _ := newRecording(b, func(c *Config) { c.AccessLogs = policy })
			s := stream(b, r)
			var messages [256][]byte
			for i := range messages {
				messages[i] = encoded(b, request(fmt.Sprint(i), 200, "/"))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := s.Add(messages[i%len(messages)]); err != nil {
					b.Fatal(err)
				}
				if r.bytes > r.room/2 {
					r.waiting, r.bytes = r.waiting[:0], 0
				}
			}
		})
	}
}
