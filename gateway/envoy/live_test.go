package envoy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// These tests hold what the receiver relies on of a real Envoy's access-log streams, beside what recordings hold.

// baseIDs sets the Envoys of this package's tests apart on one host.
const baseIDs = 7000

type object = map[string]any

type list = []any

// freeAddress is where another process is to listen. The loopback address is this process's own, so that no connection, which comes
// from 127.0.0.1, and no other test can take the port meanwhile.
func freeAddress(t testing.TB) string {
	t.Helper()
	pid := os.Getpid()
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 64+pid>>16&63, pid>>8&255, pid&255))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func socketAddress(address string) object {
	host, port, _ := net.SplitHostPort(address)
	number, _ := strconv.Atoi(port)
	return object{"socket_address": object{"address": host, "port_value": number}}
}

// liveEnvoy is a real Envoy whose routes /ok and /route answer by themselves, /app/ calls the application and /none has no host.
type liveEnvoy struct {
	t                   *testing.T
	listen, tcp, admin  string
	logs                object // more of the HTTP access log's configuration
	common              object // more of both access logs' common_config
	concurrency, number int
}

func (e *liveEnvoy) start(sink, app string) {
	t := e.t
	t.Helper()
	binary, err := filepath.Abs("../../.cache/venv/bin/envoy")
	require.NoError(t, err)
	if _, err := os.Stat(binary); err != nil {
		if strings.Contains(","+os.Getenv("LOCKKEEPER_REQUIRE")+",", ",envoy,") {
			t.Fatal("needs a real Envoy: make envoy")
		}
		t.Skip("needs a real Envoy: make envoy")
	}
	e.listen, e.tcp, e.admin = freeAddress(t), freeAddress(t), freeAddress(t)
	config, err := json.Marshal(e.config(sink, app))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "envoy.json")
	require.NoError(t, os.WriteFile(file, config, 0o600))
	var output bytes.Buffer
	cmd := exec.Command(binary, "-c", file, "--base-id", strconv.Itoa(baseIDs+e.number), "--concurrency", strconv.Itoa(max(1, e.concurrency)), "-l", "warn")
	cmd.Stdout, cmd.Stderr = &output, &output
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(output.String())
		}
	})
	e.until("Envoy to be ready", func() bool {
		r, err := http.Get("http://" + e.admin + "/ready")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
}

func (e *liveEnvoy) config(sink, app string) object {
	typed := func(kind string, config object) object {
		config["@type"] = "type.googleapis.com/envoy.extensions." + kind
		return config
	}
	logger := func(kind string, more object) list {
		common := object{
			"log_name": "live", "transport_api_version": "V3", "grpc_service": object{"envoy_grpc": object{"cluster_name": "als"}},
			"custom_tags": list{
				object{"tag": "route_service", "metadata": object{"kind": object{"route": object{}}, "metadata_key": object{"key": "live", "path": list{object{"key": "service"}}}}},
				object{"tag": "cluster_service", "metadata": object{"kind": object{"cluster": object{}}, "metadata_key": object{"key": "live", "path": list{object{"key": "service"}}}}},
				object{"tag": "host_app", "metadata": object{"kind": object{"host": object{}}, "metadata_key": object{"key": "live", "path": list{object{"key": "app"}}}, "default_value": "nobody"}},
			},
		}
		for k, v := range e.common {
			common[k] = v
		}
		config := object{"common_config": common}
		for k, v := range more {
			config[k] = v
		}
		return list{object{"name": kind, "typed_config": typed("access_loggers.grpc.v3."+kind, config)}}
	}
	cluster := func(name, address string) object {
		endpoints := list{}
		if address != "" {
			endpoints = list{object{"endpoint": object{"address": socketAddress(address)}, "metadata": object{"filter_metadata": object{"live": object{"app": "app"}}}}}
		}
		return object{
			"name": name, "connect_timeout": "1s", "metadata": object{"filter_metadata": object{"live": object{"service": name}}},
			"load_assignment": object{"cluster_name": name, "endpoints": list{object{"lb_endpoints": endpoints}}},
		}
	}
	als := cluster("als", sink)
	als["typed_extension_protocol_options"] = object{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed("upstreams.http.v3.HttpProtocolOptions",
		object{"explicit_http_config": object{"http2_protocol_options": object{}}})}
	route := func(prefix string, action object) object {
		r := object{"name": strings.Trim(prefix, "/"), "match": object{"prefix": prefix}, "metadata": object{"filter_metadata": object{"live": object{"service": "route of " + prefix}}}}
		for k, v := range action {
			r[k] = v
		}
		return r
	}
	listener := func(name, address, kind string, config object) object {
		config["stat_prefix"] = name
		return object{"name": name, "address": socketAddress(address), "filter_chains": list{object{"filters": list{object{"name": name, "typed_config": typed("filters.network."+kind, config)}}}}}
	}
	return object{
		"node":  object{"id": "live", "cluster": "live"},
		"admin": object{"address": socketAddress(e.admin)},
		"static_resources": object{
			"clusters": list{als, cluster("app", app), cluster("none", "")},
			"listeners": list{
				listener("http", e.listen, "http_connection_manager.v3.HttpConnectionManager", object{
					"access_log": logger("HttpGrpcAccessLogConfig", e.logs),
					"route_config": object{"virtual_hosts": list{object{"name": "all", "domains": list{"*"}, "routes": list{
						route("/ok", object{"direct_response": object{"status": 200}}),
						route("/none", object{"route": object{"cluster": "none"}}),
						route("/app/", object{"route": object{"cluster": "app", "prefix_rewrite": "/rewritten/"}, "request_headers_to_remove": list{"x-removed"}}),
					}}}},
					"http_filters": list{object{"name": "router", "typed_config": typed("filters.http.router.v3.Router", object{})}},
				}),
				listener("tcp", e.tcp, "tcp_proxy.v3.TcpProxy", object{"access_log": logger("TcpGrpcAccessLogConfig", nil), "cluster": "app"}),
			},
		},
	}
}

func (e *liveEnvoy) until(what string, done func() bool) {
	e.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			e.t.Fatalf("waited 30 s for %s", what)
		}
	}
}

// ask sends one request and returns its status.
func (e *liveEnvoy) ask(path string, headers ...string) int {
	e.t.Helper()
	request, err := http.NewRequest(http.MethodGet, "http://"+e.listen+path, nil)
	require.NoError(e.t, err)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	r, err := http.DefaultClient.Do(request)
	require.NoError(e.t, err)
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, r.Body)
	return r.StatusCode
}

// stat reads one of Envoy's own counters.
func (e *liveEnvoy) stat(name string) int {
	e.t.Helper()
	r, err := http.Get("http://" + e.admin + "/stats?filter=^" + name + "$")
	require.NoError(e.t, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	require.NoError(e.t, err)
	_, value, _ := strings.Cut(strings.TrimSpace(string(text)), ": ")
	n, _ := strconv.Atoi(value)
	return n
}

// rawSink keeps the messages of each stream as they came. The zero value reads.
type rawSink struct {
	accesslogv3.UnimplementedAccessLogServiceServer
	deaf    atomic.Bool // takes streams and does not read them
	mu      sync.Mutex
	streams [][]*accesslogv3.StreamAccessLogsMessage
}

func (s *rawSink) StreamAccessLogs(stream accesslogv3.AccessLogService_StreamAccessLogsServer) error {
	if s.deaf.Load() {
		<-stream.Context().Done()
		return nil
	}
	s.mu.Lock()
	number := len(s.streams)
	s.streams = append(s.streams, nil)
	s.mu.Unlock()
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.streams[number] = append(s.streams[number], m)
		s.mu.Unlock()
	}
}

func (s *rawSink) entries() (http []*accesslogdatav3.HTTPAccessLogEntry, messages int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stream := range s.streams {
		for _, m := range stream {
			http = append(http, m.GetHttpLogs().GetLogEntry()...)
			messages++
		}
	}
	return http, messages
}

// serve listens at address until the test ends.
func (s *rawSink) serve(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	server := grpc.NewServer()
	accesslogv3.RegisterAccessLogServiceServer(server, s)
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		server.Stop()
		done.Wait()
	})
}

// application answers every request with 200.
func application(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, r.URL.Path) })}
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = server.Close()
		done.Wait()
		http.DefaultClient.CloseIdleConnections()
	})
	return l.Addr().String()
}
