package envoy

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// answerOf reads what a handler answers.
func answerOf(t *testing.T, handler http.HandlerFunc, target string, code int, into any) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	handler(recorder, httptest.NewRequest(http.MethodGet, target, nil))
	require.Equal(t, code, recorder.Code, recorder.Body)
	require.Equal(t, "application/json", recorder.Header().Get("Content-Type"))
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), into))
	return recorder.Body.String()
}

func TestMeshAndItsEdges(t *testing.T) {
	r, client := start(t, consumertest.NewNop(), func(c *Config) { c.FlushInterval = time.Hour })
	stream, err := client.StreamAccessLogs(t.Context())
	require.NoError(t, err)
	for _, m := range recorded(t) {
		require.NoError(t, stream.Send(m))
	}
	_, _ = stream.CloseAndRecv()
	require.NoError(t, r.flush(t.Context(), time.Now()))
	var all meshAnswer
	answerOf(t, r.meshNow, "/api/v1/mesh", http.StatusOK, &all)
	require.NotEmpty(t, all.Edges)
	require.EqualValues(t, 60, all.WindowSeconds)
	at, err := time.Parse(time.RFC3339Nano, all.At)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), at, time.Minute)
	failing := 0
	for _, edge := range all.Edges {
		require.Len(t, edge.ID, 16)
		require.NotEmpty(t, edge.Reporters)
		var one struct {
			Edge     mesh.Link
			Versions []mesh.Link
			History  []mesh.LinkMinute
			Failures []failure
			Logs     string
		}
		text := answerOf(t, r.meshEdge, "/api/v1/mesh/edge?id="+edge.ID, http.StatusOK, &one)
		require.Equal(t, edge.ID, one.Edge.ID)
		require.Contains(t, one.Logs, `source_app:="`+edge.Source.App+`"`)
		require.NotContains(t, text, "null")
		if edge.Errors > 0 {
			failing++
			require.NotEmpty(t, one.Failures)
			require.WithinDuration(t, time.Now(), one.Failures[0].Time, 100*365*24*time.Hour)
		} else {
			require.Empty(t, one.Failures)
		}
	}
	t.Logf("%d edges, %d of them failing", len(all.Edges), failing)
	require.NotZero(t, failing)

	var refused struct{ Error string }
	answerOf(t, r.meshEdge, "/api/v1/mesh/edge?id="+url.QueryEscape("<script>"), http.StatusNotFound, &refused)
	require.Contains(t, refused.Error, `there is no edge "<script>" now`)
}

// A picture is made once a second, however many ask.
func TestMeshIsMadeOnce(t *testing.T) {
	r, _ := start(t, consumertest.NewNop(), nil)
	first, body, err := r.picture()
	require.NoError(t, err)
	for range 100 {
		again, sameBody, err := r.picture()
		require.NoError(t, err)
		if again != first { // a second is over on a busy machine
			return
		}
		require.Equal(t, &body[0], &sameBody[0])
	}
}

func TestFailureOf(t *testing.T) {
	hostile := "\u2028<script>\x1b[31m" + strings.Repeat("ä", 400)
	at := time.Unix(1700000000, 0).UTC()
	raw, err := proto.Marshal(&accesslogdatav3.HTTPAccessLogEntry{
		CommonProperties: &accesslogdatav3.AccessLogCommon{
			StartTime: timestamppb.New(at), Duration: durationpb.New(1500 * time.Microsecond),
			UpstreamRemoteAddress: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
				Address: "10.0.0.7", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 8080},
			}}},
		},
		Request: &accesslogdatav3.HTTPRequestProperties{
			RequestMethod: corev3.RequestMethod_POST, Path: "/internal", OriginalPath: "/pay?card=4111", UserAgent: hostile, Authority: "pay.example.com", RequestId: "r-1",
			RequestHeaders: map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		},
		Response: &accesslogdatav3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(503), ResponseCodeDetails: "no_healthy_upstream"},
	})
	require.NoError(t, err)
	flags, err := parseFlags("UH")
	require.NoError(t, err)
	f, err := failureOf(&mesh.Failure{Reporter: "source", Flags: flags, Raw: raw})
	require.NoError(t, err)
	require.LessOrEqual(t, len(f.UserAgent), failureText)
	require.True(t, strings.HasSuffix(f.UserAgent, "…"))
	f.UserAgent = ""
	require.Equal(t, failure{
		Time: at, Reporter: "source", Status: 503, Flags: "UH", Details: "no_healthy_upstream", Method: "POST", Path: "/pay", Authority: "pay.example.com",
		RequestID: "r-1", TraceID: "0af7651916cd43dd8448eb211c80319c", Duration: 1.5, UpstreamHost: "10.0.0.7:8080",
	}, f)

	tcp, err := proto.Marshal(&accesslogdatav3.TCPAccessLogEntry{CommonProperties: &accesslogdatav3.AccessLogCommon{
		StreamId: "s-1", UpstreamTransportFailureReason: "refused",
	}})
	require.NoError(t, err)
	f, err = failureOf(&mesh.Failure{Reporter: "destination", TCP: true, Raw: tcp})
	require.NoError(t, err)
	require.Equal(t, failure{Reporter: "destination", Flags: "-", Details: "refused", RequestID: "s-1"}, f)

	_, err = failureOf(&mesh.Failure{Raw: []byte("\xff")})
	require.Error(t, err)
}
