package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"
)

// The times of the loss test, from its first request.
const (
	lossBegins = 6 * time.Second
	lossEnds   = 14 * time.Second
	muteEnds   = 22 * time.Second // it begins with the loss
	lossTest   = 30 * time.Second
)

// lossNet is a caller's Envoy and those of three services, each in a network namespace of its own, and a gateway here. The
// services answer themselves.
type lossNet struct {
	source *box
	to     map[string]*box
	asked  map[string]int // requests that the caller's Envoy tried to pass on, by service
	mu     sync.Mutex
}

func services() []string { return []string{"steady", "lossy", "mute"} }

// lossData is what the Envoys' configuration is made from.
type lossData struct {
	Name, Gateway, Addresses, IDC string
	Services                      []string
}

func startLossNet(t *testing.T) *lossNet {
	t.Helper()
	envoy, plugins := needsEnvoy(t), needsPlugins(t)
	n := &lossNet{to: map[string]*box{}, asked: map[string]int{}}
	config := template.Must(template.ParseFiles("testdata/loss.yaml.tmpl"))
	start := func(d lossData) *box {
		t.Helper()
		file, err := os.Create(filepath.Join(t.TempDir(), d.Name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if err := config.Execute(file, d); err != nil {
			t.Fatal(err)
		}
		return newBox(t, envoy, "-c", file.Name(), "--concurrency", "1", "--disable-hot-restart", "-l", "warning")
	}
	var addresses []string
	for i, name := range services() {
		b := start(lossData{Name: name, Gateway: fmt.Sprintf("10.1.%d.1", i), Addresses: fmt.Sprintf("10.2.%d.2", i), IDC: "idc2"})
		b.link(t, name, fmt.Sprintf("10.1.%d", i))
		n.to[name] = b
		addresses = append(addresses, fmt.Sprintf("10.2.%d.1", i))
	}
	n.source = start(lossData{Name: "caller", Gateway: "10.1.9.1", Addresses: strings.Join(addresses, ","), IDC: "idc1", Services: services()})
	n.source.link(t, "caller", "10.1.9")
	for i, name := range services() {
		n.source.linkTo(t, n.to[name], name, fmt.Sprintf("10.2.%d", i))
	}
	everywhere := addresses0()
	gateway := startRun(t, "--config", everywhere.config(t, plugins), "--config", writeFile(t, `
receivers:
  envoy: {keepalive: {server_parameters: {time: 2s, timeout: 2s}}}   # a link that is down must be noticed before a slot is judged
`))
	gateway.expect(t, "Lockkeeper is ready.")
	for _, name := range services() {
		n.to[name].run(t)
	}
	n.source.run(t)
	for _, name := range services() {
		wait(t, "the Envoy of "+name, func() bool { return n.ask(t.Context(), name) == http.StatusOK })
	}
	return n
}

// addresses0 are the default ones: in a network of one's own nobody else has them.
func addresses0() addresses {
	return addresses{sink: "0.0.0.0:9001", grpc: "127.0.0.1:4317", http: "127.0.0.1:4318", console: "127.0.0.1:7070", self: "127.0.0.1:8888"}
}

// ask sends one request and returns its status, or 0 if the caller's Envoy is not there.
func (n *lossNet) ask(ctx context.Context, service string) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://10.1.9.2:15001/"+service, nil)
	if err != nil {
		return 0
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked[service]++
	return response.StatusCode
}

// traffic asks each service 33 times a second until the test's time is over, and does what is to be done at a time.
func (n *lossNet) traffic(t *testing.T, at map[time.Duration]func()) {
	t.Helper()
	begin := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var waiting sync.WaitGroup
	defer waiting.Wait()
	for i := 0; time.Since(begin) < lossTest; i++ {
		for when, do := range at {
			if time.Since(begin) >= when {
				do()
				delete(at, when)
			}
		}
		waiting.Go(func() {
			if n.ask(t.Context(), services()[i%3]) == 0 {
				t.Error("the caller's Envoy does not answer")
			}
		})
		<-tick.C
	}
}

// received is how many requests a service's Envoy says that it got.
func (n *lossNet) received(t *testing.T, number int) int {
	t.Helper()
	response, err := http.Get(fmt.Sprintf("http://10.1.%d.2:15000/stats?filter=%s", number, url.QueryEscape(`^http\.inbound\.downstream_rq_total$`)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, value, _ := strings.Cut(strings.TrimSpace(string(text)), ": ")
	count, err := strconv.Atoi(value)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return count
}

// ask asks the storage for one value; NaN is none.
func promQL(t *testing.T, expression string) float64 {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	getJSON(t, "http://127.0.0.1:7070/prometheus/api/v1/query?query="+url.QueryEscape(expression), &answer)
	if len(answer.Data.Result) != 1 {
		return math.NaN()
	}
	value, err := strconv.ParseFloat(answer.Data.Result[0].Value[1].(string), 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func edgeMetric(name, service string) string {
	return fmt.Sprintf(`lockkeeper_edge_%s{source_workload="caller",destination_workload=%q,idc="idc1",destination_idc="idc2"}`, name, service)
}

// Packets to one service are dropped, to another they pass. What the gateway calls lost is what the caller's Envoy tried and
// the service's never got. A service whose telemetry is cut off while all its traffic passes has lost nothing.
func TestLossIsWhatTheNetworkLost(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	needsEnvoy(t)
	needsPlugins(t)
	if !inOwnNetwork(t) {
		return
	}
	n := startLossNet(t)
	n.traffic(t, map[time.Duration]func(){
		lossBegins: func() { n.source.drop(t, "lossy", "10.2.1.2"); ip(t, "link set mute down") },
		lossEnds:   func() { n.source.pass(t, "lossy", "10.2.1.2") },
		muteEnds - time.Second: func() {
			if ratio := promQL(t, edgeMetric("loss_ratio", "mute")); !math.IsNaN(ratio) {
				t.Errorf("the telemetry of mute is cut off, and its loss ratio is %v: want none", ratio)
			}
		},
		muteEnds: func() { ip(t, "link set mute up") },
	})
	for i, name := range services()[:2] {
		sent, received := n.asked[name], n.received(t, i)
		f := func(what string, want int) {
			t.Helper()
			var got float64
			defer func() { t.Logf("%s: %s %v, truly %d", name, what, got, want) }()
			wait(t, fmt.Sprintf("%s of %s to be %d", what, name, want), func() bool {
				got = promQL(t, edgeMetric(what, name))
				return got == float64(want)
			})
		}
		f("sent_total", sent)
		f("received_total", received)
		share := float64(sent-received) / float64(sent)
		if name == "lossy" && share < .1 {
			t.Fatalf("%d of %d arrived: nothing was lost", received, sent)
		}
		wait(t, fmt.Sprintf("the loss ratio of %s to be %.3f", name, share), func() bool {
			return math.Abs(promQL(t, edgeMetric("loss_ratio", name))-share) < .02
		})
		t.Logf("%s: lost %.3f, loss ratio %.3f", name, share, promQL(t, edgeMetric("loss_ratio", name)))
	}
	for _, name := range []string{"steady", "mute"} {
		if worst := promQL(t, "max_over_time("+edgeMetric("loss_ratio", name)+"[5m])"); !(worst < .01) {
			t.Errorf("%s lost nothing, and its loss ratio was %v", name, worst)
		}
	}
}
