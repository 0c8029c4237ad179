package envoy

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/protobuf/proto"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// serve serves what the console would, with a write timeout as short as can be.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.WriteTimeout = time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// follow opens a live answer, which is ready when it returns.
func follow(t *testing.T, address string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	require.NoError(t, err)
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { cancel(); _ = response.Body.Close() })
	return response
}

func readLines(t *testing.T, response *http.Response) (lines []tailLine, dropped int) {
	t.Helper()
	for scanner := bufio.NewScanner(response.Body); scanner.Scan(); {
		var line struct {
			tailLine
			Dropped int
		}
		require.NoError(t, json.Unmarshal(scanner.Bytes(), &line))
		if dropped += line.Dropped; line.Dropped == 0 {
			lines = append(lines, line.tailLine)
		}
	}
	return lines, dropped
}

func TestTailShowsFinalEntries(t *testing.T) {
	r, client := start(t, consumertest.NewNop(), nil)
	f := func(query string, wanted func(*accesslogdatav3.HTTPAccessLogEntry) bool) {
		t.Helper()
		var want []*accesslogdatav3.HTTPAccessLogEntry
		for _, m := range recorded(t) {
			for _, e := range m.GetHttpLogs().GetLogEntry() {
				if e.GetCommonProperties().GetAccessLogType() == accesslogdatav3.AccessLogType_DownstreamEnd && wanted(e) {
					want = append(want, e)
				}
			}
		}
		require.NotEmpty(t, want)
		response := follow(t, serve(t, r.tailEntries)+"?"+query)
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Equal(t, "application/x-ndjson", response.Header.Get("Content-Type"))
		require.NoError(t, send(t, client, recorded(t)))
		scanner := bufio.NewScanner(response.Body)
		for _, e := range want {
			require.True(t, scanner.Scan())
			var line tailLine
			require.NoError(t, json.Unmarshal(scanner.Bytes(), &line))
			require.Equal(t, e.GetCommonProperties().GetStartTime().AsTime(), line.Time)
			require.Equal(t, e.GetCommonProperties().GetStreamId(), line.RequestID)
			require.Equal(t, e.GetResponse().GetResponseCodeDetails(), line.ResponseCodeDetails)
			require.Equal(t, e.GetRequest().GetAuthority(), line.Authority)
			require.Equal(t, "gw1", line.Labels["gateway"])
			require.Contains(t, line.Labels, "destination_service")
			require.NotEmpty(t, line.Node)
		}
		_ = response.Body.Close()
		require.Eventually(t, func() bool { return watching(r) == 0 }, 5*time.Second, time.Millisecond, "nobody watches when the client is gone")
	}
	f("", func(*accesslogdatav3.HTTPAccessLogEntry) bool { return true })
	f("flag=uf", func(e *accesslogdatav3.HTTPAccessLogEntry) bool {
		return e.GetCommonProperties().GetResponseFlags().GetUpstreamConnectionFailure()
	})
	f("flag=UF,URX", func(e *accesslogdatav3.HTTPAccessLogEntry) bool {
		flags := e.GetCommonProperties().GetResponseFlags()
		return flags.GetUpstreamConnectionFailure() && flags.GetUpstreamRetryLimitExceeded()
	})
	f("errors=true&flag=UH", func(e *accesslogdatav3.HTTPAccessLogEntry) bool {
		return e.GetCommonProperties().GetResponseFlags().GetNoHealthyUpstream()
	})
}

func watching(r *envoyReceiver) int {
	r.watchers.mu.Lock()
	defer r.watchers.mu.Unlock()
	return len(r.watchers.all)
}

func TestTailFilters(t *testing.T) {
	node := mesh.Node{ID: "n1", IDC: "idc1"}
	labels := []mesh.Label{{Name: "source_app", Value: "web"}, {Name: "destination_app", Value: "api"}}
	f := func(query string, want bool) {
		t.Helper()
		values, err := url.ParseQuery(query)
		require.NoError(t, err)
		tail, _, err := parseTail(values)
		require.NoError(t, err)
		require.Equal(t, want, tail.passes(&mesh.Observed{Node: &node}) && tail.isApp(labels), query)
	}
	f("", true)
	f("app=web", true)
	f("app=api", true)
	f("app=db", false)
	f("idc=idc1&node=n1", true)
	f("idc=idc2", false)
	f("node=n2", false)
	f("flag=UF", false)
	tail, _, err := parseTail(url.Values{"errors": {"1"}})
	require.NoError(t, err)
	require.True(t, tail.want(true))
	require.False(t, tail.want(false))
}

func TestTailRefuses(t *testing.T) {
	r, _ := start(t, consumertest.NewNop(), nil)
	server := httptest.NewServer(http.HandlerFunc(r.tailEntries)) // without serve's timeout, which a refusal on a busy machine may miss
	t.Cleanup(server.Close)
	address := server.URL
	f := func(query string, wantCode int, want string) {
		t.Helper()
		response := follow(t, address+"?"+query)
		require.Equal(t, wantCode, response.StatusCode)
		var body struct{ Error string }
		require.NoError(t, json.NewDecoder(response.Body).Decode(&body))
		require.Contains(t, body.Error, want)
	}
	f("flag=XX", 400, `parameter "flag": "XX" is no response flag`)
	f("flag=", 400, "is no response flag")
	f("limit=-1", 400, `parameter "limit": must not be negative`)
	f("limit=many", 400, `parameter "limit"`)
	f("errors=perhaps", 400, `parameter "errors"`)
	f("apps=web", 400, "use app, flag, idc, node, errors, limit")
	for range maxLive {
		require.NoError(t, r.tails.enter())
	}
	f("", 503, "8 clients tail already")
	require.EqualValues(t, 1, r.tails.refused.Load())
	r.tails.leave()
	require.Equal(t, http.StatusOK, follow(t, address).StatusCode)
	require.NoError(t, r.Shutdown(t.Context()))
	f("", 503, "the gateway is stopping")
}

func TestTailEndsByItself(t *testing.T) {
	r, client := start(t, consumertest.NewNop(), nil)
	address := serve(t, r.tailEntries)
	limited, endless := follow(t, address+"?limit=2"), follow(t, address)
	require.NoError(t, send(t, client, recorded(t)))
	lines, _ := readLines(t, limited)
	require.Len(t, lines, 2)
	require.Eventually(t, func() bool { return watching(r) == 1 }, 5*time.Second, time.Millisecond)
	require.NoError(t, r.Shutdown(t.Context()))
	readLines(t, endless) // it ends with the receiver
}

// A client that reads nothing holds nobody up: what it misses is counted, and told to it.
func TestTailDropsForSlowClients(t *testing.T) {
	r, client := start(t, consumertest.NewNop(), nil)
	slow := &tail{entries: make(chan *tailed, 3), total: &r.tails.dropped}
	r.watchers.add(slow)
	require.NoError(t, send(t, client, recorded(t)))
	require.Eventually(t, func() bool { return r.aggregator.Totals().Streams == 0 }, 5*time.Second, time.Millisecond)
	dropped := int64(r.aggregator.Totals().All.Counted) - 3
	require.Positive(t, dropped)
	require.Equal(t, dropped, r.tails.dropped.Load())
	r.watchers.remove(slow)

	recorder := httptest.NewRecorder()
	done := make(chan struct{})
	close(done)
	for len(slow.entries) > 0 {
		<-slow.entries
	}
	require.NoError(t, slow.run(newAnswer(recorder, "application/x-ndjson"), 0, nil, done))
	_, told := readLines(t, recorder.Result())
	require.EqualValues(t, dropped, told)
}

// An entry that the generated types refuse shows its labels all the same.
func TestTailLineOfOddBytes(t *testing.T) {
	line := (&tailed{raw: []byte{0x0b}, labels: []mesh.Label{{Name: "reporter", Value: "source"}, {Name: "empty"}}}).line("gw1")
	require.NotEmpty(t, line.Error)
	require.Equal(t, map[string]string{"gateway": "gw1", "reporter": "source"}, line.Labels)
	tcp, err := proto.Marshal(&accesslogdatav3.TCPAccessLogEntry{ConnectionProperties: &accesslogdatav3.ConnectionProperties{ReceivedBytes: 3, SentBytes: 4}})
	require.NoError(t, err)
	line = (&tailed{raw: tcp, tcp: true}).line("gw1")
	require.EqualValues(t, 7, line.RequestBytes+line.ResponseBytes)
	require.Empty(t, line.Error)
}

// Several watchers are each asked once for an entry, and see only what they want.
func TestWatchersAreIndependent(t *testing.T) {
	var observer *mesh.Observer
	w := watchers{observe: func(o *mesh.Observer) { observer = o }}
	all, failed := &counting{}, &counting{onlyFailed: true}
	w.add(failed)
	require.False(t, observer.Want(false), "one alone is asked before anything is made for it")
	w.add(all)
	for _, f := range []bool{true, false, false} {
		if observer.Want(f) {
			observer.See(&mesh.Observed{Failed: f})
		}
	}
	require.Equal(t, counting{asked: 3, seen: 3}, *all)
	require.Equal(t, counting{onlyFailed: true, asked: 4, seen: 1}, *failed)
	w.remove(failed)
	w.remove(all)
	require.Nil(t, observer)
}

type counting struct {
	onlyFailed  bool
	asked, seen int
}

func (c *counting) want(failed bool) bool {
	c.asked++
	return failed || !c.onlyFailed
}
func (c *counting) see(*mesh.Observed) { c.seen++ }

func TestLiveMetrics(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	set := receivertest.NewNopSettings(NewFactory().Type())
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	r, err := newReceiver(set, defaultConfig())
	require.NoError(t, err)
	r.recorder = newRecorder(r)
	registration, err := r.observe(set.MeterProvider.Meter("test"))
	require.NoError(t, err)
	r.telemetry = append(r.telemetry, registration)
	r.tails.dropped.Add(3)
	r.recordings.refused.Add(2)
	f := func(name, what string, want int64) {
		t.Helper()
		m, err := telemetry.GetMetric(name)
		require.NoError(t, err)
		for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
			if value, _ := p.Attributes.Value("what"); value.AsString() == what {
				require.Equal(t, want, p.Value)
				return
			}
		}
		t.Errorf("no %s of %s", name, what)
	}
	f("lockkeeper_live_dropped_total", "tail", 3)
	f("lockkeeper_live_dropped_total", "record", 0)
	f("lockkeeper_live_refused_total", "record", 2)
	require.NoError(t, r.Shutdown(t.Context()))
	require.NoError(t, telemetry.Shutdown(t.Context()))
}
