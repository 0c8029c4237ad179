package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"testing"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/lockkeeper/lockkeeper/gateway/envoy"
)

// sink is a receiver envoy alone, with what it hands to a console.
type sink struct {
	address, console string
	stop             func() map[string]string // ends it and returns its series
}

type muxHost struct{ mux *http.ServeMux }

type muxExtension struct {
	component.Component
	*http.ServeMux
}

func (h muxHost) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("console"): muxExtension{ServeMux: h.mux}}
}

func startSink(t *testing.T) sink {
	t.Helper()
	factory := envoy.NewFactory()
	config := factory.CreateDefaultConfig().(*envoy.Config)
	config.NetAddr.Endpoint = freeAddress(t)
	var metrics consumertest.MetricsSink
	r, err := factory.CreateMetrics(t.Context(), receivertest.NewNopSettings(factory.Type()), config, &metrics)
	if err != nil {
		t.Fatal(err)
	}
	host := muxHost{mux: http.NewServeMux()}
	if err := r.Start(t.Context(), host); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(host.mux)
	t.Cleanup(server.Close)
	t.Cleanup(func() { _ = r.Shutdown(context.Background()) })
	return sink{config.NetAddr.Endpoint, server.URL, func() map[string]string {
		t.Helper()
		if err := r.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		return seriesOf(&metrics)
	}}
}

// seriesOf are the last values of all series, by name and labels.
func seriesOf(metrics *consumertest.MetricsSink) map[string]string {
	series := map[string]string{}
	for _, request := range metrics.AllMetrics() {
		for _, resource := range request.ResourceMetrics().All() {
			for _, scope := range resource.ScopeMetrics().All() {
				for _, m := range scope.Metrics().All() {
					id := func(labels pcommon.Map) string { return fmt.Sprint(m.Name(), labels.AsRaw()) }
					switch m.Type() {
					case pmetric.MetricTypeSum:
						for _, p := range m.Sum().DataPoints().All() {
							series[id(p.Attributes())] = fmt.Sprint(p.IntValue(), p.DoubleValue())
						}
					case pmetric.MetricTypeHistogram:
						for _, p := range m.Histogram().DataPoints().All() {
							series[id(p.Attributes())] = fmt.Sprint(p.Count(), p.Sum(), p.BucketCounts().AsRaw())
						}
					}
				}
			}
		}
	}
	return series
}

// What is recorded and replayed elsewhere gives the same series there.
func TestRecordThenReplayGivesTheSameSeries(t *testing.T) {
	f := func(file, told string) {
		t.Helper()
		file = filepath.Join("mesh/testdata/corpus", file)
		recording := filepath.Join(t.TempDir(), "recording")
		first, second := startSink(t), startSink(t)
		began := make(chan struct{})
		console := httptest.NewServer(&httputil.ReverseProxy{
			FlushInterval: -1,
			Transport:     &http.Transport{DisableKeepAlives: true},
			Rewrite: func(r *httputil.ProxyRequest) {
				r.Out.URL.Scheme, r.Out.URL.Host = "http", strings.TrimPrefix(first.console, "http://")
			},
			ModifyResponse: func(*http.Response) error { close(began); return nil }, // the recording has begun
		})
		defer console.Close()
		ended := make(chan string)
		go func() {
			code, out, notes := call(t, "record", "--url", console.URL, "--for", "1m", "-f", recording)
			ended <- fmt.Sprint(code, out, notes)
		}()
		<-began
		if code, out, stderr := call(t, "replay", file, "--address", first.address); code != 0 || out != told {
			t.Errorf("%d %s%s", code, out, stderr)
		}
		want := first.stop() // ends the recording
		messages, _, _ := strings.Cut(strings.TrimPrefix(told, "als: "), ",")
		if said := <-ended; !strings.HasPrefix(said, fmt.Sprintf("0%s: %s, ", recording, messages)) || strings.Contains(said, "dropped") {
			t.Fatal(said)
		}
		if code, again, stderr := call(t, "replay", recording, "--address", second.address); code != 0 || again != told {
			t.Fatalf("%d %s%s", code, again, stderr)
		}
		if diff := cmp.Diff(want, second.stop()); diff != "" {
			t.Errorf("%s (-first +second):\n%s", file, diff)
		}
		if len(want) == 0 && !strings.Contains(file, "tcp") {
			t.Errorf("%s: no series", file)
		}
	}
	f("http_stream_delta.binpb", "als: 51 messages, 51 entries, 1 streams\n")
	f("tcp_stream_delta.binpb", "als: 9 messages, 9 entries, 1 streams\n")
	f("two_proxy_filterstate.binpb", "als: 10 messages, 10 entries, 2 streams\n")
	f("two_proxy_metadata_struct.binpb", "als: 6 messages, 6 entries, 2 streams\n")
}

func TestReplayMistakes(t *testing.T) {
	whole, err := os.ReadFile("mesh/testdata/corpus/http_stream_delta.binpb")
	if err != nil {
		t.Fatal(err)
	}
	entry, err := os.ReadFile("mesh/testdata/corpus/entries/http_UF.binpb")
	if err != nil {
		t.Fatal(err)
	}
	gateway := startSink(t)
	f := func(wantCode int, want string, content []byte, args ...string) {
		t.Helper()
		file := writeFile(t, string(content))
		if code, _, stderr := call(t, append([]string{"replay", file, "--address", gateway.address}, args...)...); code != wantCode || !strings.Contains(stderr, want) {
			t.Errorf("%q ends with %d: %s", args, code, stderr)
		}
	}
	f(1, "ends within message 51: it was cut off; what is before was sent", whole[:len(whole)-1])
	f(1, "message 1: does not say whose it is, and none before it does", entry)
	f(1, "holds neither access logs nor stats", nil)
	f(1, "not a recording", []byte{0xff, 0xff, 0xff, 0xff, 1})
	f(1, "start one with `lockkeeper run`, or give --address", whole, "--address", freeAddress(t))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	other := grpc.NewServer() // of something else
	go func() { _ = other.Serve(listener) }()
	defer other.Stop()
	f(1, "takes no als: is it a gateway's Envoy sink?", whole, "--address", listener.Addr().String())
	f(1, "--ca", whole, "--ca", "testdata/none")
	f(1, "holds no certificate", whole, "--ca", "testdata/secret")
	f(2, "must be als or stats", whole, "--kind", "logs")
	f(2, "must be HOST:PORT", whole, "--address", "nowhere")
	f(2, "--rate -1: must not be negative\n", whole, "--rate", "-1")
	f(2, "--loop 0: must be 1 or more", whole, "--loop", "0")
	f(2, "--cert: needs --key and --ca", whole, "--cert", "c")
	if code, _, stderr := call(t, "replay"); code != 2 || !strings.Contains(stderr, "say which recording") {
		t.Errorf("%d: %s", code, stderr)
	}
	if code, out, stderr := call(t, "replay", "mesh/testdata/corpus/http_stream_delta.binpb", "--address", gateway.address, "--loop", "3", "--rate", "1000"); code != 0 ||
		!strings.Contains(out, "als: 153 messages, ") || !strings.HasSuffix(out, " 1 streams\n") {
		t.Errorf("%d: %s%s", code, out, stderr)
	}
}

// With --ca the gateway's certificate is checked.
func TestReplayByTLS(t *testing.T) {
	own := httptest.NewTLSServer(nil) // for its certificate
	defer own.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&own.TLS.Certificates[0])),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			for {
				if err := stream.RecvMsg(&accesslogv3.StreamAccessLogsMessage{}); err != nil {
					return nil
				}
			}
		}))
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	ca := writeFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate().Raw})))
	args := []string{"replay", "mesh/testdata/corpus/http_stream_delta.binpb", "--address", listener.Addr().String()}
	if code, out, stderr := call(t, append(args, "--ca", ca)...); code != 0 || !strings.Contains(out, "51 entries") {
		t.Errorf("%d: %s%s", code, out, stderr)
	}
	if code, _, stderr := call(t, args...); code != 1 || !strings.Contains(stderr, "with TLS: --ca") {
		t.Errorf("%d: %s", code, stderr)
	}
}

func TestRecordMistakes(t *testing.T) {
	address := consoleOf(t, "/api/v1/record", "\x05ab")
	file := filepath.Join(t.TempDir(), "recording")
	f := func(wantCode int, want string, args ...string) {
		t.Helper()
		if code, _, stderr := call(t, append([]string{"record"}, args...)...); code != wantCode || !strings.Contains(stderr, want) {
			t.Errorf("%q ends with %d: %s", args, code, stderr)
		}
	}
	f(2, "say where to: -f FILE")
	f(2, "must be als or stats", "-f", file, "--kind", "logs")
	f(2, "must not be negative", "-f", file, "--for", "-1s")
	f(1, "or give --url", "-f", file, "--url", "http://"+freeAddress(t))
	f(1, "no such file", "-f", file+"/none/x", "--url", address)
	f(1, "the gateway went away: unexpected EOF ("+file+": 0 messages", "-f", file, "--url", address)
	f(0, "nothing has arrived: `lockkeeper doctor` tells", "-f", file, "--url", consoleOf(t, "/api/v1/record", ""))
	if content, err := os.ReadFile(file); err != nil || len(content) > 0 {
		t.Errorf("an incomplete message was written: %q %v", content, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v %v", info.Mode(), err)
	}
}

func TestKindOf(t *testing.T) {
	f := func(want string, message ...byte) {
		t.Helper()
		if got := kindOf(message); got != want {
			t.Errorf("%x: %q, want %q", message, got, want)
		}
	}
	f("", 0x0a, 0)                                        // an identifier
	f("", 0x12, 0)                                        // an empty list
	f(kindALS, 0x12, 2, 0x0a, 0)                          // an HTTP entry
	f(kindALS, 0x1a, 2, 0x0a, 0)                          // a TCP entry
	f(kindStats, 0x12, 5, 0x0a, 1, 'x', 0x18, 0)          // a family with a type
	f(kindStats, 0x0a, 0, 0x12, 5, 0x0a, 1, 'x', 0x22, 0) // a family with a metric
}

func FuzzReadRecorded(f *testing.F) {
	f.Add([]byte{2, 0x0a, 0, 4, 0x12, 2, 0x0a, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0x1f, 1})
	f.Add([]byte{5, 0x12, 3, 0x0a, 0xff, 1})
	f.Fuzz(func(_ *testing.T, content []byte) {
		known := speakers{}
		for in := bufio.NewReader(bytes.NewReader(content)); ; {
			message, err := readRecorded(in)
			if err != nil {
				return
			}
			_ = countOf(kindOf(message), message)
			_, _, _ = known.of(message)
			_ = anonymous(message)
		}
	})
}
