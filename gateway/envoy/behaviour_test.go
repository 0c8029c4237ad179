package envoy

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// Each worker has a stream of its own for HTTP and another for TCP; only a stream's first message says who sends it, and that
// is large, because Envoy lists its extensions.
func TestEnvoyOpensAStreamForEachLoggerAndWorker(t *testing.T) {
	sink, e := &rawSink{}, &liveEnvoy{t: t, number: 1, concurrency: 2, common: object{"buffer_size_bytes": 0}}
	address := freeAddress(t)
	sink.serve(t, address)
	e.start(address, application(t))
	e.until("two HTTP streams and a TCP stream", func() bool {
		request, err := http.NewRequest(http.MethodGet, "http://"+e.listen+"/ok", nil)
		require.NoError(t, err)
		request.Close = true // so that the next connection may go to the other worker
		r, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		_ = r.Body.Close()
		conn, err := net.Dial("tcp", e.tcp)
		require.NoError(t, err)
		_ = conn.Close()
		sink.mu.Lock()
		defer sink.mu.Unlock()
		var https, tcps int
		for _, stream := range sink.streams {
			for _, m := range stream {
				if m.GetHttpLogs() != nil {
					https++
					break
				}
				if m.GetTcpLogs() != nil {
					tcps++
					break
				}
			}
		}
		return https == 2 && tcps >= 1
	})
	for range 4 {
		e.ask("/ok")
	}
	sink.mu.Lock()
	defer sink.mu.Unlock()
	for _, stream := range sink.streams {
		kinds := map[bool]int{}
		for i, m := range stream {
			kinds[m.GetHttpLogs() != nil]++
			require.Equal(t, i == 0, m.GetIdentifier() != nil, "only the first message says who sends")
		}
		require.Less(t, len(kinds), 2, "a stream has either HTTP or TCP entries")
		if len(stream) > 0 {
			id := stream[0].GetIdentifier()
			require.Equal(t, "live", id.GetNode().GetId())
			require.Greater(t, len(id.GetNode().GetExtensions()), 400)
			require.Greater(t, proto.Size(id), 50_000)
		}
	}
}

// Without a buffer every entry is a message; with Envoy's default one many entries are.
func TestEnvoyBuffersEntries(t *testing.T) {
	f := func(number int, common object, check func(entries, messages int)) {
		t.Helper()
		sink, e := &rawSink{}, &liveEnvoy{t: t, number: number, common: common}
		address := freeAddress(t)
		sink.serve(t, address)
		e.start(address, application(t))
		const requests = 300
		for range requests {
			e.ask("/ok")
		}
		e.until("all entries", func() bool {
			entries, _ := sink.entries()
			return len(entries) == requests
		})
		entries, messages := sink.entries()
		check(len(entries), messages)
	}
	f(2, object{"buffer_size_bytes": 0}, func(entries, messages int) { require.Equal(t, entries, messages) })
	f(3, nil, func(entries, messages int) { require.Less(t, messages, entries/10) })
}

// Headers are logged as they are when the request is over; the path is the rewritten one. Of a request for which no host was
// chosen, only the route tells where it was meant to go.
func TestEnvoyLogsWhatIsLeftOfARequest(t *testing.T) {
	sink := &rawSink{}
	e := &liveEnvoy{t: t, number: 4, common: object{"buffer_size_bytes": 0}, logs: object{"additional_request_headers_to_log": list{"x-kept", "x-removed"}}}
	address := freeAddress(t)
	sink.serve(t, address)
	e.start(address, application(t))
	require.Equal(t, 200, e.ask("/app/x", "x-kept", "yes", "x-removed", "yes"))
	require.Equal(t, 503, e.ask("/none"))
	e.until("both entries", func() bool {
		entries, _ := sink.entries()
		return len(entries) == 2
	})
	entries, _ := sink.entries()
	served, refused := entries[0], entries[1]
	require.Equal(t, map[string]string{"x-kept": "yes"}, served.GetRequest().GetRequestHeaders())
	require.Equal(t, "/rewritten/x", served.GetRequest().GetPath())
	require.Equal(t, "/app/x", served.GetRequest().GetOriginalPath())
	tags := served.GetCommonProperties().GetCustomTags()
	require.Equal(t, map[string]string{"route_service": "route of /app/", "cluster_service": "app", "host_app": "app"}, tags)

	require.True(t, refused.GetCommonProperties().GetResponseFlags().GetNoHealthyUpstream())
	require.Empty(t, refused.GetCommonProperties().GetUpstreamCluster())
	require.Nil(t, refused.GetCommonProperties().GetUpstreamRemoteAddress())
	require.Equal(t, "none", refused.GetCommonProperties().GetRouteName())
	tags = refused.GetCommonProperties().GetCustomTags()
	require.Equal(t, map[string]string{"route_service": "route of /none", "host_app": "nobody"}, tags, "the cluster's tag is missing and the host's has its default")
}

// Envoy's logs_written counts HTTP entries only, grpc_entries_flushed those of TCP, too: what coverage is reckoned from.
func TestEnvoyCountsWhatItWrites(t *testing.T) {
	sink, e := &rawSink{}, &liveEnvoy{t: t, number: 7, common: object{"buffer_size_bytes": 0}}
	address := freeAddress(t)
	sink.serve(t, address)
	e.start(address, application(t))
	const requests, connections = 7, 3
	for range requests {
		e.ask("/ok")
	}
	for range connections {
		conn, err := net.Dial("tcp", e.tcp)
		require.NoError(t, err)
		_ = conn.Close()
	}
	e.until("all entries to be flushed", func() bool {
		return e.stat("access_logs.grpc_access_log.grpc_entries_flushed") == requests+connections
	})
	require.Equal(t, requests, e.stat("access_logs.grpc_access_log.logs_written"))
}

// While nobody takes its entries, Envoy says that it wrote and flushed them all and dropped none. Only the connection to the
// gateway tells.
func TestEnvoyDoesNotCountWhatNobodyTook(t *testing.T) {
	sink, e := &rawSink{}, &liveEnvoy{t: t, number: 5}
	address := freeAddress(t)
	e.start(address, application(t))
	const lost = 200
	for range lost {
		e.ask("/ok")
	}
	e.until("Envoy to give them up", func() bool { return e.stat("cluster.als.upstream_cx_connect_fail") > 0 })
	e.until("a flush", func() bool { return e.stat("access_logs.grpc_access_log.grpc_entries_flushed") == lost })
	require.Equal(t, lost, e.stat("access_logs.grpc_access_log.logs_written"))
	require.Equal(t, 0, e.stat("access_logs.grpc_access_log.logs_dropped"))
	require.Positive(t, e.stat("cluster.als.upstream_rq_pending_failure_eject"))

	sink.serve(t, address)
	e.until("an entry after the gateway is back", func() bool {
		e.ask("/ok")
		entries, _ := sink.entries()
		return len(entries) > 0
	})
	written := e.stat("access_logs.grpc_access_log.logs_written")
	time.Sleep(1500 * time.Millisecond) // Envoy's own flush interval is a second
	entries, _ := sink.entries()
	require.LessOrEqual(t, len(entries), written-lost, "what was lost does not come again")
}

// A gateway that takes the stream and reads nothing is bounded backpressure: Envoy keeps some 16 MiB a stream, drops what is
// beyond and counts that, and goes on to serve.
func TestEnvoyDropsBehindADeafGateway(t *testing.T) {
	sink := &rawSink{}
	sink.deaf.Store(true)
	e := &liveEnvoy{t: t, number: 6, logs: object{"additional_request_headers_to_log": list{"x-large"}}}
	address := freeAddress(t)
	sink.serve(t, address)
	e.start(address, application(t))
	large := strings.Repeat("x", 40_000)
	sent := 0
	e.until("Envoy to drop", func() bool {
		for range 50 {
			require.Equal(t, 200, e.ask("/ok", "x-large", large))
			sent++
		}
		return e.stat("access_logs.grpc_access_log.logs_dropped") > 0
	})
	held := sent - e.stat("access_logs.grpc_access_log.logs_dropped")
	require.InDelta(t, 17e6, held*len(large), 6e6)
	require.Equal(t, 200, e.ask("/ok"))
}
