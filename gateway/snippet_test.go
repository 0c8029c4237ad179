package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write what is printed to ../deploy and testdata")

func needsEnvoy(t *testing.T) string {
	return needs(t, "envoy", "../.cache/venv/bin/envoy", "make envoy")
}

// What the command prints is kept in deploy/envoy, for those who have not got the command yet.
func TestSnippetEnvoyIsInDeploy(t *testing.T) {
	f := func(file string, args ...string) {
		t.Helper()
		_, got, _ := call(t, append([]string{"snippet", "envoy"}, args...)...)
		file = filepath.Join("../deploy/envoy", file)
		if *update {
			rewrite(t, file, got)
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s is not what the command prints (go test ./gateway -run Snippet -update writes it):\n%s", file, diff)
		}
	}
	f("source.yaml")
	f("destination.yaml", "--reporter", "destination")
	f("bootstrap.yaml", "--full", "--upstream-log")
	f("../docker/envoy.yaml", "--full", "--address", "lockkeeper:9001", "--listen", "0.0.0.0:10000", "--upstream", "lockkeeper:3000")
}

func TestEnvoyAcceptsTheSnippet(t *testing.T) {
	envoy := needsEnvoy(t)
	f := func(config string) {
		t.Helper()
		if out, err := exec.Command(envoy, "--mode", "validate", "--disable-hot-restart", "-c", config).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	// All that are kept: a whole configuration as it is, parts where their comments say.
	files, err := filepath.Glob("../deploy/envoy/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	for _, file := range append(files, "../deploy/docker/envoy.yaml") {
		if text := readFile(t, file); strings.Contains(text, "\n---\n") {
			file = pasted(t, text)
		}
		f(file)
	}
	// Those that are not.
	_, upstreamLog, _ := call(t, "snippet", "envoy", "--upstream-log")
	f(pasted(t, upstreamLog))
	_, full, _ := call(t, "snippet", "envoy", "--full")
	f(writeFile(t, full))
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

type object = map[string]any

// pasted puts the parts of a snippet into a configuration with an HTTP and a TCP listener.
func pasted(t *testing.T, snippet string) string {
	t.Helper()
	var parts []any // clusters, access log of HTTP, access log of TCP, top level, router
	for decoder := yaml.NewDecoder(strings.NewReader(snippet)); ; {
		var part any
		if err := decoder.Decode(&part); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part)
	}
	if len(parts) == 4 {
		parts = append(parts, object{"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"})
	}
	if len(parts) != 5 {
		t.Fatalf("%d parts", len(parts))
	}
	listener := func(name, kind string, config object) object {
		config["@type"] = "type.googleapis.com/envoy.extensions.filters.network." + kind
		config["stat_prefix"] = name
		return object{
			"name": name, "address": object{"socket_address": object{"address": "127.0.0.1", "port_value": 0}},
			"filter_chains": []any{object{"filters": []any{object{"name": name, "typed_config": config}}}},
		}
	}
	config := parts[3].(object)
	config["static_resources"] = object{
		"clusters": parts[0],
		"listeners": []any{
			listener("http", "http_connection_manager.v3.HttpConnectionManager", object{
				"access_log": parts[1], "route_config": object{},
				"http_filters": []any{object{"name": "router", "typed_config": parts[4]}},
			}),
			listener("tcp", "tcp_proxy.v3.TcpProxy", object{
				"access_log": parts[2], "access_log_options": object{"access_log_flush_interval": "30s"}, "cluster": "lockkeeper",
			}),
		},
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, string(text))
}

// An Envoy of one's own: two commands, and its traffic is there within 15 seconds.
func TestOwnEnvoy(t *testing.T) {
	envoy, plugins := needsEnvoy(t), needsPlugins(t)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer app.Close()
	a, listen := freeAddresses(t), freeAddress(t)
	gateway := startRun(t, "--config", a.config(t, plugins))
	gateway.expect(t, "Lockkeeper is ready.")
	_, bootstrap, _ := call(t, "snippet", "envoy", "--full", "--address", a.sink, "--listen", listen, "--upstream", strings.TrimPrefix(app.URL, "http://"))
	proxy := startCommand(t, exec.Command(envoy, "--disable-hot-restart", "--concurrency", "1", "-c", writeFile(t, bootstrap)))
	proxy.expect(t, "starting main dispatch loop")

	began := time.Now()
	const requests = 10
	for range requests {
		r, err := http.Get("http://" + listen)
		if err != nil {
			t.Fatal(err)
		}
		if _ = r.Body.Close(); r.StatusCode != http.StatusTeapot {
			t.Fatal(r.Status)
		}
	}
	const query = `sum(istio_requests_total{reporter="source",source_workload="my-envoy",source_app="my-envoy",source_version="v1",` +
		`destination_workload="my-app-v1",destination_app="my-app",destination_version="v1",response_code="418",response_flags="-",idc="idc1"})`
	wait(t, "the requests in the storage", func() bool {
		var answer struct {
			Data struct{ Result []struct{ Value [2]any } }
		}
		getJSON(t, "http://"+a.console+"/prometheus/api/v1/query?query="+query, &answer)
		return len(answer.Data.Result) == 1 && answer.Data.Result[0].Value[1] == fmt.Sprint(requests)
	})
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
	r, err := http.Get("http://" + a.console + "/api/v1/edges")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	edges, err := io.ReadAll(r.Body)
	if err != nil || !bytes.Contains(edges, []byte("my-app")) {
		t.Errorf("edges: %s %v", edges, err)
	}
	proxy.signal(t, syscall.SIGTERM)
	gateway.signal(t, syscall.SIGTERM)
	if code, rest := gateway.exit(t); code != 0 {
		t.Errorf("exit %d\n%s", code, strings.Join(rest, "\n"))
	}
}
