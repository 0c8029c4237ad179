package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/lockkeeper/lockkeeper/xds"
)

// threeGateways are gateways of three sites that decide together about the same world: the entry of idc2 is dead, and so is a machine; another one is
// ejected by hand.
type threeGateways struct {
	all     [3]*failoverGateway
	configs [3]string // what each has besides
	runs    [3]*process
}

func newThreeGateways(t *testing.T) *threeGateways {
	t.Helper()
	world := newFailoverGateway(t)
	world.idcs[1].die()
	world.machines[0].die()
	var targets, join []string
	add := func(module, address, subject string) {
		targets = append(targets, fmt.Sprintf("{module: %s, target: %q, subject: %s, interval: 250ms}", module, address, subject))
	}
	for i, s := range world.idcs {
		add("entry", "http://"+s.address+"/", fmt.Sprintf("idc/idc%d/entry", i+1))
	}
	for i, s := range []*site{world.machines[0], world.machines[1], openSite(t, 1), openSite(t, 1), openSite(t, 1)} { // so many that two may be out
		add("port", s.address, fmt.Sprintf("machine/m%d, idc: idc1", i+1))
	}
	for range 3 {
		join = append(join, strconv.Quote(freeAddress(t)))
	}
	c := &threeGateways{}
	for i, name := range []string{"berlin", "tokyo", "outside"} {
		g := &failoverGateway{console: freeAddress(t), dns: freeAddress(t), data: t.TempDir(), idcs: world.idcs, machines: world.machines}
		g.file = writeFile(t, g.config())
		c.all[i], c.configs[i] = g, writeFile(t, fmt.Sprintf(`
receivers: {probes: {targets: [%s]}}
extensions:
  failover: {sites: {berlin: idc1, tokyo: idc2, outside: ""}, safety: {max_ejection_percent: 50}}
  cluster: {name: %s, site: %s, endpoint: %s, join: [%s]}
service: {extensions: [plugins, alerting, failover, cluster, dns, console]}
`, strings.Join(targets, ", "), name, name, join[i], strings.Join(join, ", ")))
		c.start(t, i)
	}
	return c
}

func (c *threeGateways) start(t *testing.T, i int) {
	t.Helper()
	c.runs[i] = c.all[i].start(t, "--config", c.configs[i])
}

// serves waits until all serve this by the same version.
func (c *threeGateways) serves(t *testing.T, what string, is func(*xds.Serving) bool) {
	t.Helper()
	wait(t, what, func() bool {
		var version uint64
		for _, g := range c.all {
			var s xds.Serving
			if getJSON(t, g.url("/api/v1/serving"), &s); !is(&s) || version != 0 && s.Version != version {
				return false
			}
			version = s.Version
		}
		return true
	})
}

// asExpected tells whether what is served is what the world is like.
func asExpected(s *xds.Serving) bool {
	return slices.Equal(slices.Sorted(maps.Keys(s.Out)), []string{"machine/m1", "machine/m2"}) && s.IDCs["idc1"].Entry == xds.Whole && s.IDCs["idc2"].Entry == 0
}

// A reader reads what a gateway serves all the time, and notes what is not as expected.
type reader struct {
	mu     sync.Mutex
	reads  int
	wrong  []string
	served uint64
	serial uint32
}

func (r *reader) run(g *failoverGateway, stop <-chan struct{}) {
	client, ask := http.Client{Timeout: patience}, dns.Client{Timeout: watchTimeout}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		if s := readServing(&client, g); s != nil {
			r.note(s.Version >= r.served, "version %d after %d", s.Version, r.served)
			r.note(asExpected(s), "served %+v", s)
			r.served = s.Version
		}
		if ips := addressesOf(g.dns, liveName); ips != nil {
			r.note(slices.Equal(ips, []string{g.idcs[0].ip()}), "answered %v", ips)
		}
		if answer, _, err := ask.Exchange(new(dns.Msg).SetQuestion("gslb.example.com.", dns.TypeSOA), g.dns); err == nil && len(answer.Answer) == 1 {
			serial := answer.Answer[0].(*dns.SOA).Serial
			r.note(serial >= r.serial, "serial %d after %d", serial, r.serial)
			r.serial = serial
		}
	}
}

// readServing is what a gateway serves; nil: it does not answer, or has not decided.
func readServing(client *http.Client, g *failoverGateway) *xds.Serving {
	response, err := client.Get(g.url("/api/v1/serving"))
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	var s xds.Serving
	if response.StatusCode != http.StatusOK || json.NewDecoder(response.Body).Decode(&s) != nil || s.Version == 0 {
		return nil
	}
	return &s
}

func (r *reader) note(ok bool, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	if !ok && len(r.wrong) < 10 {
		r.wrong = append(r.wrong, time.Now().Format(time.StampMilli)+": "+fmt.Sprintf(format, args...))
	}
}

// told are what was wrong, and how many reads there were.
func (r *reader) told() (int, []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reads, slices.Clone(r.wrong)
}

// Whichever of three gateways is killed at whatever moment, no endpoint set and no DNS answer changes, neither of those that live nor of the one that comes
// back, and no version or serial goes back.
func TestKillsOfGatewaysChangeNothing(t *testing.T) {
	kills := 5
	if n, err := strconv.Atoi(os.Getenv(killsEnv)); err == nil {
		kills = n
	}
	c := newThreeGateways(t)
	c.serves(t, "what is dead is out", func(s *xds.Serving) bool { _, out := s.Out["machine/m1"]; return out && s.IDCs["idc2"].Entry == 0 })
	c.all[0].does(t, "failover", "eject", "machine/m2", "--for", "1h")
	c.serves(t, "a machine is ejected everywhere", asExpected)

	var readers [3]reader
	stop := make(chan struct{})
	var reading sync.WaitGroup
	for i := range readers {
		reading.Go(func() { readers[i].run(c.all[i], stop) })
	}
	defer func() { close(stop); reading.Wait() }()
	killed := [3]int{}
	for range kills {
		time.Sleep(rand.N(time.Second)) // the moment of death is what varies
		victim := rand.N(3)
		killed[victim]++
		c.runs[victim].signal(t, syscall.SIGKILL)
		c.runs[victim].exit(t)
		time.Sleep(rand.N(time.Second)) // also for how long
		c.start(t, victim)
		c.serves(t, "all serve the same again", asExpected)
		for i := range readers {
			if _, wrong := readers[i].told(); len(wrong) > 0 {
				t.Fatalf("killed %v: gateway %d:\n%s", killed, i, strings.Join(wrong, "\n"))
			}
		}
	}
	for i, g := range c.all {
		reads, _ := readers[i].told()
		t.Logf("killed %d times: %d reads of gateway %d, none wrong", killed[i], reads, i)
		var list struct{ Holds []struct{ Subject string } }
		if getJSON(t, g.url("/api/v1/failover"), &list); len(list.Holds) != 1 || list.Holds[0].Subject != "machine/m2" {
			t.Errorf("gateway %d holds %v", i, list.Holds)
		}
	}
}
