package dns

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/xds"
)

const api = "api.gslb.example.com."

// Nobody decides what is served: all IDCs alike.
func TestAloneItAnswersAllAlike(t *testing.T) {
	r := start(t, oneZone)
	for _, network := range []string{"udp", "tcp"} {
		first, second := address(t, r.ask(t, network, api, dns.TypeA)), address(t, r.ask(t, network, api, dns.TypeA))
		require.ElementsMatch(t, []string{"127.1.0.1", "127.2.0.1"}, []string{first, second}, network)
	}
	require.Equal(t, dns.RcodeNameError, r.ask(t, "udp", "no.gslb.example.com.", dns.TypeA).Rcode)
	require.Equal(t, dns.RcodeRefused, r.ask(t, "udp", "example.org.", dns.TypeA).Rcode)
	require.EqualValues(t, 2, r.counter(t, "lockkeeper_dns_queries_total", "transport", "udp", "type", "A", "rcode", "NOERROR"))
	require.EqualValues(t, 1, r.counter(t, "lockkeeper_dns_queries_total", "rcode", "NXDOMAIN"))
	require.EqualValues(t, 2, r.counter(t, "lockkeeper_dns_answers_total", "name", "api.gslb.example.com", "idc", "idc2"))
	require.EqualValues(t, receiveBuffer, max(receiveBuffer, r.counter(t, "lockkeeper_dns_receive_buffer_bytes")))
	require.Zero(t, r.counter(t, "lockkeeper_dns_panics_total"))
}

func TestItAnswersWhatIsServed(t *testing.T) {
	d := &decider{}
	d.decide(1000, 10_000, 0)
	r := start(t, oneZone, d)
	f := func(want string) {
		t.Helper()
		for range 10 {
			require.Equal(t, want, address(t, r.ask(t, "udp", api, dns.TypeA)))
		}
	}
	f("127.1.0.1")
	before := r.counter(t, "lockkeeper_dns_serial")
	d.decide(2000, 0, 10_000)
	f("127.2.0.1")
	require.EqualValues(t, 1, r.counter(t, "lockkeeper_dns_swaps_total"))
	require.Greater(t, r.counter(t, "lockkeeper_dns_serial"), before)
}

// Who decides has not started yet: nothing is answered that could be wrong, until it says what is served.
func TestItWaitsForTheDecision(t *testing.T) {
	d := &decider{}
	r := start(t, oneZone, d)
	conn := r.dial(t)
	_, err := conn.Write(question(t, api))
	require.NoError(t, err)
	require.Nil(t, r.table.Load())
	require.EqualValues(t, 0, r.counter(t, "lockkeeper_dns_serial"))
	d.decide(1, 0, 10_000)
	answer := make([]byte, maxUDP)
	n, err := conn.Read(answer) // of the query that had come before
	require.NoError(t, err)
	var m dns.Msg
	require.NoError(t, m.Unpack(answer[:n]))
	require.Equal(t, "127.2.0.1", address(t, &m))
}

// Everything has started and nobody has said what is served: an answer is better than none.
func TestItDoesNotWaitForEver(t *testing.T) {
	r := start(t, oneZone, &decider{})
	r.patience = time.Second
	require.NoError(t, r.Ready())
	require.Nil(t, r.table.Load(), "who decides among others hears them first")
	require.Eventually(t, func() bool { return r.table.Load() != nil }, time.Minute, 10*time.Millisecond)
	require.Len(t, r.ask(t, "udp", api, dns.TypeA).Answer, 1)
}

// Who decides began after this and has not yet come to say so; or it says so at the very moment.
func TestWhatWasDecidedIsNotReplacedByNothing(t *testing.T) {
	d := &decider{}
	r := start(t, oneZone, d)
	d.now = &xds.Serving{Version: 1, IDCs: map[string]xds.IDC{"idc1": {Entry: 0}, "idc2": {Entry: xds.Whole}}}
	require.NoError(t, r.Ready())
	serial := r.counter(t, "lockkeeper_dns_serial")
	r.swap(nil)
	require.Equal(t, serial, r.counter(t, "lockkeeper_dns_serial"))
	for range 4 {
		require.Equal(t, "127.2.0.1", address(t, r.ask(t, "udp", api, dns.TypeA)))
	}
	d.decide(2, xds.Whole, 0)
	require.Equal(t, "127.1.0.1", address(t, r.ask(t, "udp", api, dns.TypeA)))
}

func TestShutdownBeforeAnyDecision(t *testing.T) {
	r := start(t, oneZone, &decider{})
	require.Nil(t, r.table.Load()) // the end of the test closes it
}

func TestTwoOnOnePort(t *testing.T) {
	r := start(t, oneZone)
	cfg, err := load(t, oneZone)
	require.NoError(t, err)
	cfg.Endpoints = []string{r.at}
	second := newServer(cfg, r.set, nil)
	err = second.Start(t.Context(), host{})
	require.ErrorContains(t, err, r.at)
	require.ErrorContains(t, err, "end what listens there, or set another endpoint")

	// Another program has the UDP port alone.
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	cfg.Endpoints = []string{taken.LocalAddr().String()}
	require.ErrorContains(t, newServer(cfg, r.set, nil).Start(t.Context(), host{}), "address already in use")
}

func TestSeveralEndpoints(t *testing.T) {
	r := start(t, `{endpoint: ["127.0.0.1:0", "127.0.0.2:0"], zones: {a.example: {ns: {ns.example.org: []}, names: {"@": {idcs: {idc1: 192.0.2.1}}}}}}`)
	for _, p := range r.bound {
		r.at = p.listener.Addr().String()
		require.Equal(t, "192.0.2.1", address(t, r.ask(t, "udp", "a.example.", dns.TypeA)))
		require.Equal(t, "192.0.2.1", address(t, r.ask(t, "tcp", "a.example.", dns.TypeA)))
	}
}

// The table is swapped 100 times a second, and no query is lost.
func TestSwapsLoseNothing(t *testing.T) {
	d := &decider{}
	d.decide(1, 5000, 5000)
	r := start(t, oneZone, d)
	var stop atomic.Bool
	swapped := make(chan uint64)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		version := uint64(2)
		for ; !stop.Load(); version++ {
			d.decide(version, uint32(100*(version%100)), 10_000-uint32(100*(version%100)))
			<-tick.C
		}
		swapped <- version
	}()
	conn, asked, buffer := r.dial(t), question(t, api), make([]byte, maxUDP)
	begun, queries := time.Now(), 0
	for ; time.Since(begun) < 2*time.Second; queries++ {
		_, err := conn.Write(asked)
		require.NoError(t, err)
		n, err := conn.Read(buffer)
		require.NoError(t, err, "query %d", queries)
		require.Greater(t, n, len(asked))
	}
	stop.Store(true)
	version := <-swapped
	t.Logf("%d queries, %d swaps", queries, version)
	require.EqualValues(t, version-2, r.counter(t, "lockkeeper_dns_swaps_total"))
	require.EqualValues(t, queries, r.counter(t, "lockkeeper_dns_answers_total"))
}

// A table that cannot be made leaves the last one at work, and an alert.
func TestWhatCannotBeServed(t *testing.T) {
	d := &decider{}
	d.decide(1, 10_000, 0)
	r := start(t, oneZone, d)
	r.compile = func([]Zone, *xds.Serving, uint32, *table) (*table, error) { return nil, errors.New("no") }
	d.decide(2, 0, 10_000)
	r.compile = func([]Zone, *xds.Serving, uint32, *table) (*table, error) { panic("no") }
	d.decide(3, 0, 10_000)
	require.Equal(t, "127.1.0.1", address(t, r.ask(t, "udp", api, dns.TypeA)))
	require.EqualValues(t, 2, r.counter(t, "lockkeeper_dns_swap_failures_total"))
	require.Equal(t, "DNSAnswersStale", r.Alerts()[0].Labels["alertname"])
	require.Len(t, r.logs.FilterMessageSnippet("the last answers stay").All(), 1)
	r.compile = compile
	d.decide(4, 0, 10_000)
	require.Equal(t, "127.2.0.1", address(t, r.ask(t, "udp", api, dns.TypeA)))
	require.Empty(t, r.Alerts())
}

func TestAlerts(t *testing.T) {
	d := &decider{}
	d.decide(1, 0, 0)
	r := start(t, `
endpoint: 127.0.0.1:0
zones: {a.example: {ns: {ns.example.org: []}, names: {api: {idcs: {idc1: 192.0.2.1, idc9: 192.0.2.9}}}}}`, d)
	names := map[string]string{}
	for _, alert := range r.Alerts() {
		names[alert.Labels["alertname"]] = alert.Annotations["description"]
	}
	require.Contains(t, names["DNSUnknownIDC"], "idc9")
	require.Contains(t, names["DNSWeightless"], "api.a.example")
	d.decide(2, 10_000, 0)
	require.Len(t, r.Alerts(), 1)
	require.EqualValues(t, 1, r.counter(t, "lockkeeper_dns_unknown_idcs"))
	require.Zero(t, r.counter(t, "lockkeeper_dns_weightless_names"))
}
