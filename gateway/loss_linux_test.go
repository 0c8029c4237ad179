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
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"
)

// lossNet is a caller's Envoy and those of three services, each in a network namespace of its own, and a gateway here. The
// services answer themselves.
type lossNet struct {
	source *box
	to     map[string]*box
	mu     sync.Mutex
	ended  map[string][]time.Time // when requests ended that the caller's Envoy tried to pass on, by service
	warm   map[string]int         // of these, those before the gateway knew who is at which address
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
	n := &lossNet{to: map[string]*box{}, ended: map[string][]time.Time{}, warm: map[string]int{}}
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
	gateway := startRun(t, "--config", lossAddresses().config(t, plugins))
	gateway.expect(t, "Lockkeeper is ready.")
	for _, name := range services() {
		n.to[name].run(t)
	}
	n.source.run(t)
	for _, name := range services() {
		wait(t, "the gateway to know the edge to "+name, func() bool {
			n.ask(t.Context(), name)
			return promQL(t, edgeMetric("sent_total", name)) > 0 && promQL(t, edgeMetric("received_total", name)) > 0
		})
	}
	for _, name := range services() {
		n.warm[name] = len(n.ended[name])
	}
	return n
}

// lossAddresses are the default ones: in a network of one's own nobody else has them.
func lossAddresses() addresses {
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
	n.ended[service] = append(n.ended[service], time.Now())
	return response.StatusCode
}

// traffic asks each service 33 times a second until it is stopped.
func (n *lossNet) traffic(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			all.Go(func() {
				if n.ask(t.Context(), services()[i%3]) == 0 {
					t.Error("the caller's Envoy does not answer")
				}
			})
			<-tick.C
		}
	})
	return func() { cancel(); all.Wait() }
}

// sentIn is how many requests to a service ended in slots from first to last.
func (n *lossNet) sentIn(service string, first, last int64) (sent int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, end := range n.ended[service] {
		if slot := end.Unix() / 10; slot >= first && slot <= last {
			sent++
		}
	}
	return sent
}

// received is how many requests a service's Envoy says that it got.
func (n *lossNet) received(t *testing.T, number int) int {
	t.Helper()
	return n.stat(t, number, "http.inbound.downstream_rq_total")
}

// stat asks a service's Envoy for a figure of its own.
func (n *lossNet) stat(t *testing.T, number int, name string) int {
	t.Helper()
	response, err := http.Get(fmt.Sprintf("http://10.1.%d.2:15000/stats?filter=%s", number, url.QueryEscape("^"+regexp.QuoteMeta(name)+"$")))
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

// promQL asks the storage for one value; NaN is none.
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
	stop := n.traffic(t)
	var from int64 // the first slot that counts: it has just become complete when there is a ratio
	for _, name := range services() {
		wait(t, "a loss ratio of "+name, func() bool { return promQL(t, edgeMetric("loss_ratio", name)) < .01 })
		if name == "lossy" {
			from = time.Now().Unix()/10 - 2
		}
	}
	begin := time.Now()
	n.source.drop(t, "lossy", "10.2.1.2")
	ip(t, "link set mute down")
	time.Sleep(8 * time.Second)
	n.source.pass(t, "lossy", "10.2.1.2")
	end := time.Now()
	time.Sleep(8 * time.Second)
	if ratio := promQL(t, edgeMetric("loss_ratio", "mute")); !math.IsNaN(ratio) {
		t.Errorf("the telemetry of mute is cut off, and its loss ratio is %v: want none", ratio)
	}
	ip(t, "link set mute up")
	time.Sleep(8 * time.Second)
	stop()
	for i, name := range services()[:2] {
		n.compare(t, i, name)
	}
	lost := len(n.ended["lossy"]) - n.received(t, 1)
	if lost < 100 {
		t.Fatalf("%d requests were lost: the network does not drop packets", lost)
	}
	wait(t, fmt.Sprintf("the loss ratio to be of %d requests", lost), func() bool {
		now := time.Now().Unix() / 10
		first, last := max(from, now-7), now-2
		if first*10 > begin.Unix() || (last+1)*10 < end.Unix()+2 {
			return false // it is not yet over all that was lost, or no more
		}
		got, want := promQL(t, edgeMetric("loss_ratio", "lossy")), float64(lost)/float64(n.sentIn("lossy", first, last))
		equal := math.Abs(got-want) < .02
		if equal {
			t.Logf("lossy: loss ratio %.3f, truly %.3f", got, want)
		}
		return equal
	})
	for _, name := range []string{"steady", "mute"} {
		if worst := promQL(t, "max_over_time("+edgeMetric("loss_ratio", name)+"[5m])"); !(worst < .01) {
			t.Errorf("%s lost nothing, and its loss ratio was %v", name, worst)
		}
	}
	if cut := n.stat(t, 0, "cluster.lockkeeper.upstream_cx_destroy_remote"); cut > 0 {
		t.Errorf("the gateway cut off the stream of steady %d times", cut)
	}
}

// compare waits until the gateway counts what the caller's Envoy tried and the service's got, but for those before it knew
// who is where.
func (n *lossNet) compare(t *testing.T, number int, name string) {
	t.Helper()
	f := func(what string, want int) {
		t.Helper()
		var got float64
		defer func() { t.Logf("%s: %s %v, truly %d (%d before)", name, what, got, want, n.warm[name]) }()
		wait(t, fmt.Sprintf("%s of %s to be %d", what, name, want), func() bool {
			got = promQL(t, edgeMetric(what, name))
			return got <= float64(want) && got >= float64(want-n.warm[name])
		})
	}
	f("sent_total", len(n.ended[name]))
	f("received_total", n.received(t, number))
}
