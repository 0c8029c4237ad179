package envoy

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// What a client can choose is bounded, in bytes and in number, and never ends in half a character.
func TestRecordIsBounded(t *testing.T) {
	headers := map[string]string{}
	for i := range 100 {
		headers[fmt.Sprintf("x-%02d-%s", i, strings.Repeat("n", 300))] = strings.Repeat("ü", 5000)
	}
	long := strings.Repeat("€", 1<<20)
	record := written(t, nil, waitingEntry{}, &accesslogdatav3.HTTPAccessLogEntry{
		Request: &accesslogdatav3.HTTPRequestProperties{
			Path: "/" + long, OriginalPath: "/" + long + "?" + long, UserAgent: long, Authority: long, RequestId: long, Referer: long, ForwardedFor: long,
			RequestHeaders: headers,
		},
		Response:         &accesslogdatav3.HTTPResponseProperties{ResponseHeaders: headers},
		CommonProperties: &accesslogdatav3.AccessLogCommon{CustomTags: headers, UpstreamCluster: long},
	})
	require.Less(t, encodedSize(t, record), 128<<10)
	require.EqualValues(t, 300-maxForeign, record.DroppedAttributesCount())
	path := raw(t, record, "url.path").(string)
	require.LessOrEqual(t, len(path), maxPath)
	require.True(t, strings.HasSuffix(path, "€…"), "cut between two characters")
}

func TestForeignNamesAreEscaped(t *testing.T) {
	record := written(t, nil, waitingEntry{}, &accesslogdatav3.HTTPAccessLogEntry{
		Request:          &accesslogdatav3.HTTPRequestProperties{Path: "/a\n\"b", RequestHeaders: map[string]string{"x y\n=": "v"}},
		CommonProperties: &accesslogdatav3.AccessLogCommon{CustomTags: map[string]string{"ü\x00": "v"}},
	})
	require.Equal(t, []any{"v"}, raw(t, record, "http.request.header.x_y__"))
	require.Equal(t, "v", raw(t, record, "envoy.tag.__"))
	require.NotContains(t, record.Body().Str(), "\n", "one line")
}

func TestTimesThatDoNotFit(t *testing.T) {
	f := func(start *timestamppb.Timestamp, d *durationpb.Duration, want time.Time) {
		t.Helper()
		record := written(t, nil, waitingEntry{}, &accesslogdatav3.HTTPAccessLogEntry{CommonProperties: &accesslogdatav3.AccessLogCommon{StartTime: start, Duration: d}})
		require.Equal(t, want.UTC(), record.Timestamp().AsTime())
	}
	unset := time.Unix(0, 0)
	f(timestamppb.New(time.Unix(1000, 0)), durationpb.New(1500*time.Millisecond), time.Unix(1001, 5e8))
	f(timestamppb.New(time.Unix(1000, 0)), nil, time.Unix(1000, 0))
	f(nil, nil, unset)
	f(&timestamppb.Timestamp{Seconds: 1 << 62}, nil, unset)
	f(&timestamppb.Timestamp{Seconds: -1}, nil, unset)
	f(&timestamppb.Timestamp{Seconds: 250000000000}, nil, unset)
}

func TestConfiguredAttributes(t *testing.T) {
	change := func(c *Config) {
		c.RecordAttributes = map[string]AttributeConfig{
			"release": {Tag: "release"}, "deployment.id": {Header: "X-Deployment-Id"}, "absent": {Header: "x-absent"}, "replica": {Header: "x-replica"},
		}
	}
	record := written(t, change, waitingEntry{}, &accesslogdatav3.HTTPAccessLogEntry{
		CommonProperties: &accesslogdatav3.AccessLogCommon{CustomTags: map[string]string{"release": "r7"}},
		Request:          &accesslogdatav3.HTTPRequestProperties{RequestHeaders: map[string]string{"x-deployment-id": "d1"}},
		Response:         &accesslogdatav3.HTTPResponseProperties{ResponseHeaders: map[string]string{"x-replica": "3", "x-deployment-id": "d2"}},
	})
	require.Equal(t, []any{"r7", "d1", "3", nil},
		[]any{raw(t, record, "release"), raw(t, record, "deployment.id"), raw(t, record, "replica"), raw(t, record, "absent")})
}

// Whatever bytes an entry has, its record is within bounds or there is none.
func FuzzRecord(f *testing.F) {
	files, err := filepath.Glob("testdata/entries/*.binpb")
	require.NoError(f, err)
	for _, file := range files {
		for _, e := range entriesOf(f, file) {
			f.Add(e.raw, e.tcp)
		}
	}
	r, _ := newRecording(f, func(c *Config) {
		c.RecordAttributes = map[string]AttributeConfig{"release": {Tag: "lit"}, "h": {Header: "content-type"}}
	})
	f.Fuzz(func(t *testing.T, raw []byte, tcp bool) {
		requestHash(raw)
		record, size, err := r.record(&waitingEntry{raw: raw, tcp: tcp, labels: []mesh.Label{{Name: "request_protocol", Value: "grpc"}}})
		if err != nil {
			return
		}
		if encoded := encodedSize(t, record); encoded > size || size > 256<<10 {
			t.Fatalf("%d bytes, estimated as %d", encoded, size)
		}
		show(t, record)
	})
}
