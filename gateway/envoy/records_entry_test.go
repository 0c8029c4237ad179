package envoy

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

var update = flag.Bool("update", false, "write the golden files anew")

// entriesOf reads the entries of a file of testdata/entries, which a real Envoy sent.
func entriesOf(t testing.TB, file string) (entries []waitingEntry) {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	in := bufio.NewReader(f)
	for {
		var m accesslogv3.StreamAccessLogsMessage
		if err := (protodelim.UnmarshalOptions{MaxSize: 1 << 20}).UnmarshalFrom(in, &m); errors.Is(err, io.EOF) {
			return entries
		} else if err != nil {
			t.Fatal(err)
		}
		for _, e := range m.GetHttpLogs().GetLogEntry() {
			entries = append(entries, waitingEntry{raw: encoded(t, e)})
		}
		for _, e := range m.GetTcpLogs().GetLogEntry() {
			entries = append(entries, waitingEntry{raw: encoded(t, e), tcp: true})
		}
	}
}

func encoded(t testing.TB, m proto.Message) []byte {
	t.Helper()
	raw, err := proto.Marshal(m)
	require.NoError(t, err)
	return raw
}

// newRecording returns a recorder that is not running, and where its records go.
func newRecording(t testing.TB, change func(*Config)) (*recorder, *consumertest.LogsSink) {
	t.Helper()
	c := defaultConfig()
	c.Gateway, c.AccessLogs = "gw1", "all"
	if change != nil {
		change(c)
	}
	require.NoError(t, c.Validate())
	r, err := newReceiver(receivertest.NewNopSettings(NewFactory().Type()), c)
	require.NoError(t, err)
	sink := &consumertest.LogsSink{}
	r.nextLogs = sink
	r.recorder = newRecorder(r)
	return r.recorder, sink
}

// show shows a record in lines. Those of the attributes are sorted.
func show(t testing.TB, record plog.LogRecord) string {
	t.Helper()
	var lines []string
	for name, value := range record.Attributes().All() {
		b, err := json.Marshal(value.AsRaw())
		require.NoError(t, err)
		lines = append(lines, name+": "+string(b))
	}
	slices.Sort(lines)
	return fmt.Sprintf("%s %s %s\n%s\ntrace %s, span %s, flags %d\n\n%s\n", record.Timestamp(), record.SeverityText(), record.EventName(), record.Body().Str(),
		record.TraceID(), record.SpanID(), record.Flags(), strings.Join(lines, "\n"))
}

// seen returns what the recorder keeps of an entry, as the recorded node's stream would show it.
func seen(t testing.TB, r *recorder, e waitingEntry) waitingEntry {
	t.Helper()
	node, err := mesh.ReadNode(encoded(t, recorded(t)[0]), r.idc)
	require.NoError(t, err)
	stream := r.aggregator.Open(node)
	defer stream.Close()
	r.aggregator.Observe(&mesh.Observer{Want: r.want, See: r.see})
	kind := protowire.Number(2)
	if e.tcp {
		kind = 3
	}
	message := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), e.raw)
	require.NoError(t, stream.Add(protowire.AppendBytes(protowire.AppendTag(nil, kind, protowire.BytesType), message)))
	require.NotEmpty(t, r.waiting)
	return r.waiting[len(r.waiting)-1]
}

// Each file of testdata/entries is what a real Envoy sent. testdata/golden has the records that the first ones become, without
// the metrics' labels.
func TestRecordsOfRecordedEntries(t *testing.T) {
	r, _ := newRecording(t, nil)
	files, err := filepath.Glob("testdata/entries/*.binpb")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		e := seen(t, r, entriesOf(t, file)[0])
		record, size, err := r.record(&e)
		require.NoError(t, err)
		require.LessOrEqual(t, encodedSize(t, record), size)
		for _, l := range e.labels {
			require.Equal(t, l.Value, raw(t, record, l.Name))
			record.Attributes().Remove(l.Name)
		}
		golden := strings.Replace(strings.TrimSuffix(file, ".binpb")+".txt", "entries", "golden", 1)
		got := show(t, record)
		if *update {
			require.NoError(t, os.MkdirAll(filepath.Dir(golden), 0o755))
			require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", golden, diff)
		}
	}
}

func encodedSize(t testing.TB, record plog.LogRecord) int {
	t.Helper()
	logs := plog.NewLogs()
	record.CopyTo(logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
	return (&plog.ProtoMarshaler{}).LogsSize(logs)
}

// written returns the record of an entry that is made by hand.
func written(t *testing.T, change func(*Config), e waitingEntry, entry *accesslogdatav3.HTTPAccessLogEntry) plog.LogRecord {
	t.Helper()
	r, _ := newRecording(t, change)
	e.raw = encoded(t, entry)
	record, size, err := r.record(&e)
	require.NoError(t, err)
	require.LessOrEqual(t, encodedSize(t, record), size)
	return record
}

func raw(t *testing.T, record plog.LogRecord, name string) any {
	t.Helper()
	value, ok := record.Attributes().Get(name)
	if !ok {
		return nil
	}
	return value.AsRaw()
}

func TestPathAndQuery(t *testing.T) {
	f := func(path, original string, want ...any) {
		t.Helper()
		record := written(t, nil, waitingEntry{}, &accesslogdatav3.HTTPAccessLogEntry{Request: &accesslogdatav3.HTTPRequestProperties{Path: path, OriginalPath: original}})
		require.Equal(t, want, []any{raw(t, record, "url.path"), raw(t, record, "url.query"), raw(t, record, "envoy.path")})
		require.NotContains(t, record.Body().Str(), "secret")
	}
	f("/a?key=secret", "", "/a", "key=secret", nil)
	f("/a?b?c", "", "/a", "b?c", nil)
	// a route rewrote it: the path is what the client asked for
	f("/rewritten?x=secret", "/asked?x=secret", "/asked", "x=secret", "/rewritten?x=secret")
	f("", "", nil, nil, nil)
}

func TestSeverityAndErrorType(t *testing.T) {
	f := func(e waitingEntry, code uint32, severity plog.SeverityNumber, errorType any) {
		t.Helper()
		record := written(t, nil, e, &accesslogdatav3.HTTPAccessLogEntry{Response: &accesslogdatav3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(code)}})
		require.Equal(t, severity, record.SeverityNumber())
		require.Equal(t, errorType, raw(t, record, "error.type"))
	}
	f(waitingEntry{}, 200, plog.SeverityNumberInfo, nil)
	f(waitingEntry{}, 404, plog.SeverityNumberWarn, nil)
	f(waitingEntry{failed: true}, 503, plog.SeverityNumberError, "503")
	f(waitingEntry{failed: true}, 0, plog.SeverityNumberError, "_OTHER")
	f(waitingEntry{failed: true, flags: 1<<6 | 1<<16}, 503, plog.SeverityNumberError, "UF")
	// an injected delay is no failure
	f(waitingEntry{failed: true, flags: 1 << 10}, 500, plog.SeverityNumberError, "500")
	f(waitingEntry{failed: true, labels: []mesh.Label{{Name: "grpc_response_status", Value: "14"}}}, 200, plog.SeverityNumberError, "UNAVAILABLE")
}

func TestAttributesOfRPC(t *testing.T) {
	labels := []mesh.Label{{Name: "request_protocol", Value: "grpc"}, {Name: "grpc_response_status", Value: "5"}}
	record := written(t, nil, waitingEntry{labels: labels}, &accesslogdatav3.HTTPAccessLogEntry{Request: &accesslogdatav3.HTTPRequestProperties{Path: "/pkg.Service/Method"}})
	require.Equal(t, []any{"grpc", "pkg.Service/Method", "NOT_FOUND"},
		[]any{raw(t, record, "rpc.system.name"), raw(t, record, "rpc.method"), raw(t, record, "rpc.response.status_code")})
}

func TestTLSAndOtherAddresses(t *testing.T) {
	certificate := func(subject string) *accesslogdatav3.TLSProperties_CertificateProperties {
		return &accesslogdatav3.TLSProperties_CertificateProperties{Subject: subject, Issuer: "CN=ca"}
	}
	record := written(t, nil, waitingEntry{}, &accesslogdatav3.HTTPAccessLogEntry{
		Request: &accesslogdatav3.HTTPRequestProperties{Authority: "[::1]:8080"},
		CommonProperties: &accesslogdatav3.AccessLogCommon{
			DownstreamRemoteAddress: &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: "/run/a.sock"}}},
			TlsProperties: &accesslogdatav3.TLSProperties{
				TlsVersion: accesslogdatav3.TLSProperties_TLSv1_3, TlsCipherSuite: wrapperspb.UInt32(0x1301), TlsSniHostname: "a.example",
				LocalCertificateProperties: certificate("CN=server"), PeerCertificateProperties: certificate("CN=client"),
			},
		},
	})
	for name, want := range map[string]any{
		"server.address": "::1", "server.port": int64(8080), "client.address": "/run/a.sock", "client.port": nil,
		"tls.protocol.name": "tls", "tls.protocol.version": "1.3", "tls.cipher": "TLS_AES_128_GCM_SHA256", "envoy.tls_sni_hostname": "a.example",
		"tls.server.subject": "CN=server", "tls.client.subject": "CN=client", "tls.client.issuer": "CN=ca",
	} {
		require.Equal(t, want, raw(t, record, name), name)
	}
}
