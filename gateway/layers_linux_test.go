package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
)

// Two hosts with a real node_exporter each, an application on the first: the boards show all of it, and who is a noisy neighbour: one who floods
// the network of a host, and one who wants more of its CPUs than it may have.
func TestBoardsShowTheLayers(t *testing.T) {
	nodeExporter, cadvisor := needsNodeExporter(t), needs(t, "exporters", "../.cache/tools/cadvisor", "make exporters")
	shop := newShop(t)
	needsPlugins(t)
	if !inOwnNetwork(t) {
		return
	}
	l := newLayers(t)
	startRun(t, l.args...).expect(t, "Lockkeeper is ready")
	for _, n := range []string{"1", "2"} {
		b := newBox(t, nodeExporter, "--collector.ethtool", "--web.listen-address=10.9."+n+".2:9100")
		b.link(t, "host"+n, "10.9."+n)
		b.run(t)
		l.target(t, "host-"+n, "10.9."+n+".2:9100", "job: node, idc: idc1, host: machine-"+n)
	}
	at := freeAddress(t)
	l.exporter(t, "cadvisor", at, "idc: idc1, host: machine-1", exec.Command(cadvisor, at)).expect(t, "listening")
	paths := l.sells(t, shop)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	running.Go(func() { visit(ctx, paths) })
	running.Go(func() { hog(ctx, "10.9.1.2:9") })
	cgroup := newCgroup(t, 2)
	cgroup.run(t, "timeout", "120", "sh", "-c", "while :; do :; done")
	sendOnce(t, l.sink, 5000)

	boards := readBoards(t, "use.json", "application.json")
	l.findsNeighbours(t, boards[0], cgroup.name)
	l.answersItsPage(t, "jvm")
	v := viewer{prometheus: "http://" + l.console + "/prometheus"}
	v.show(t, boards, map[string]string{
		"use.json: Who takes what of its host?":       "cAdvisor tells disk and network only of containers that it knows by their runtime; the rest of the table is looked at by findsNeighbours",
		"use.json: Which containers write and read?":  "the same",
		"use.json: Which containers use the network?": "the same",
		"use.json: What do the cards count?":          "a virtual card loses nothing",
	})
}

// sells has an application of four programs scraped, as if on the first host. It returns what to visit.
func (l *layers) sells(t *testing.T, s *shop) (urls []string) {
	t.Helper()
	for job, command := range map[string]func(string) *exec.Cmd{"jvm": s.jvm, "node-js": s.node, "python": s.python} {
		at := freeAddress(t)
		l.exporter(t, job, at, "idc: idc1, host: machine-1, app: "+job, command(at)).expect(t, "listening")
		urls = append(urls, "http://"+at+"/orders", "http://"+at+"/orders?fail=1")
	}
	registry := prometheus.NewRegistry()
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds"}, []string{"method", "route", "status_code"})
	registry.MustRegister(duration, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	duration.WithLabelValues("GET", "/orders", "500").Observe(0) // so that the first failure counts
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/orders", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		duration.WithLabelValues("GET", "/orders", "500").Observe(0.001)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	l.target(t, "go", strings.TrimPrefix(server.URL, "http://"), "job: go, idc: idc1, host: machine-1, app: go")
	return append(urls, server.URL+"/orders")
}

// visit asks for each of the addresses, again and again.
func visit(ctx context.Context, urls []string) {
	client := http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		for _, address := range urls {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
			if response, err := client.Get(address); err == nil {
				_ = response.Body.Close()
			}
		}
	}
}

// hog sends 10 MB a second to an address where nobody listens, for two minutes at most.
func hog(ctx context.Context, address string) {
	connection, err := net.Dial("udp", address)
	if err != nil {
		return
	}
	defer connection.Close()
	packet := make([]byte, 10_000)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for range 10 {
			_, _ = connection.Write(packet) // refused, as soon as the host has said so
		}
	}
}

// findsNeighbours asks what the board asks: which host gets more than the others, and whose container is held back.
func (l *layers) findsNeighbours(t *testing.T, b *board, cgroup string) {
	t.Helper()
	var received, cpus, throttled, memory map[string]float64
	begin := time.Now()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("received:", received, "CPUs:", cpus, "throttled:", throttled, "memory:", memory)
		}
	})
	require.Eventually(t, func() bool {
		received = l.panel(t, b, "How much is received and sent?", "A", "host")
		cpus = l.panel(t, b, "Who takes what of its host?", "A", "id")
		throttled = l.panel(t, b, "Who takes what of its host?", "B", "id")
		memory = l.panel(t, b, "Who takes what of its host?", "C", "id")
		return received["machine-1"] > 10*received["machine-2"] && received["machine-1"] > 1e5 && throttled[cgroup] > 0.1 && cpus[cgroup] > 0 && memory[cgroup] > 0
	}, 2*patience, time.Second)
	t.Logf("after %v: machine-1 receives %.0f kB/s, machine-2 %.1f; %s uses %.3f CPUs, throttled %.0f %% of the time, %.0f kB of memory", time.Since(begin).Round(time.Second),
		received["machine-1"]/1e3, received["machine-2"]/1e3, cgroup, cpus[cgroup], 100*throttled[cgroup], memory[cgroup]/1e3)
}

// panel is the result of a panel's query now, by one of its labels.
func (l *layers) panel(t *testing.T, b *board, title, target, label string) map[string]float64 {
	t.Helper()
	p := b.Panels[slices.IndexFunc(b.Panels, func(p *boardPanel) bool { return p.Title == title })]
	expr := p.Targets[slices.IndexFunc(p.Targets, func(q *boardTarget) bool { return q.RefID == target })].Expr
	expr = interpolate(expr, map[string]string{"host": ".*", "idc": ".*"})
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	getJSON(t, "http://"+l.console+"/prometheus/api/v1/query?query="+url.QueryEscape(expr), &answer)
	values := map[string]float64{}
	for _, series := range answer.Data.Result {
		values[series.Metric[label]], _ = strconv.ParseFloat(fmt.Sprint(series.Value[1]), 64)
	}
	return values
}

// cgroup is a container, as far as the kernel and cAdvisor are concerned.
type cgroup struct {
	name        string
	directories []string
}

// newCgroup makes one that may use some percent of a CPU.
func newCgroup(t *testing.T, percent int) *cgroup {
	t.Helper()
	const root = "/sys/fs/cgroup"
	c := &cgroup{name: fmt.Sprintf("/lockkeeper-test-%d", os.Getpid())}
	quota, value := "cpu.cfs_quota_us", fmt.Sprint(percent*1000)
	for _, controller := range []string{"cpu", "cpuacct", "memory"} {
		c.directories = append(c.directories, filepath.Join(root, controller, c.name))
	}
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil { // version 2
		c.directories, quota, value = []string{filepath.Join(root, c.name)}, "cpu.max", fmt.Sprintf("%d 100000", percent*1000)
		_ = os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+cpu +memory"), 0o600)
	}
	for _, directory := range c.directories {
		if err := os.Mkdir(directory, 0o755); err != nil {
			lacks(t, "exporters", "needs control groups: "+err.Error())
		}
		t.Cleanup(func() { _ = os.Remove(directory) })
	}
	if err := os.WriteFile(filepath.Join(c.directories[0], quota), []byte(value), 0o600); err != nil {
		lacks(t, "exporters", "needs a quota of CPU: "+err.Error())
	}
	return c
}

// run starts a program in it.
func (c *cgroup) run(t *testing.T, program ...string) {
	t.Helper()
	join := ""
	for _, directory := range c.directories {
		join += "echo $$ > " + directory + "/cgroup.procs && "
	}
	startCommand(t, exec.Command("sh", append([]string{"-c", join + `exec "$@"`, "sh"}, program...)...))
}
