package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
)

func node(name, ip, meta string) *memberlist.Node {
	return &memberlist.Node{Name: name, Addr: net.ParseIP(ip), Port: 7946, Meta: []byte(meta)}
}

func TestMeta(t *testing.T) {
	told, err := decodeMeta(meta{Site: "berlin", Version: "1.2.3"}.encode())
	require.NoError(t, err)
	require.Equal(t, meta{Site: "berlin", Version: "1.2.3"}, told)
	require.LessOrEqual(t, len(meta{strings.Repeat("b", maxName), strings.Repeat("\x01", 1000), true}.encode()), memberlist.MetaMaxSize)
}

// What no gateway says of itself makes no member.
func TestNoMember(t *testing.T) {
	counts := newTally()
	m := newMembers("self", "berlin", counts.refuse, time.Now)
	f := func(n *memberlist.Node, want string) {
		t.Helper()
		require.ErrorContains(t, m.NotifyAlive(n), want)
	}
	f(node("a/b", "192.0.2.1", `{"site":"berlin"}`), "name: must be")
	f(node(strings.Repeat("a", 1000), "192.0.2.1", `{"site":"berlin"}`), "name: must be")
	f(node("a", "192.0.2.1", ``), "is no member")
	f(node("a", "192.0.2.1", `{"site":"ber/lin"}`), "site: must be")
	f(node("a", "192.0.2.1", `{"site":"berlin","version":"`+strings.Repeat("1", 400)+`"}`), "version: is too long")
	f(&memberlist.Node{Name: "a", Meta: []byte(`{"site":"berlin"}`)}, "it has no address")
	require.EqualValues(t, 6, counts.refusals()["meta"].Count)
	for i := range maxMembers - 1 {
		n := node(fmt.Sprintf("a%d", i), "192.0.2.1", `{"site":"berlin"}`)
		require.NoError(t, m.NotifyAlive(n))
		m.NotifyJoin(n)
	}
	f(node("one-more", "192.0.2.1", `{"site":"berlin"}`), "there are 1024 of them")
}

func TestAlerts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := newCluster(&Config{Name: "self", Site: "berlin", Join: []string{"192.0.2.9:7946"}}, "1", componenttest.NewNopTelemetrySettings())
		require.NoError(t, err)
		require.Empty(t, c.Alerts())
		c.exchange.running.Store(true)
		c.started = time.Now()
		sites := func() (sites []string) {
			for _, a := range c.Alerts() {
				require.Equal(t, "SiteSilent", a.Labels["alertname"])
				require.Equal(t, "page", a.Labels["severity"])
				sites = append(sites, a.Labels["site"])
			}
			return sites
		}
		tokyo, tokyo2 := node("a", "192.0.2.1", `{"site":"tokyo"}`), node("b", "192.0.2.2", `{"site":"tokyo"}`)
		c.members.NotifyJoin(tokyo)
		c.members.NotifyJoin(tokyo2)
		time.Sleep(silentAfter)
		require.Equal(t, []string{"192.0.2.9:7946"}, sites()) // nobody was ever there
		c.joiner.targets["192.0.2.9:7946"].met = true
		require.Empty(t, sites())
		// A site is silent when all of its members are, for a while after its last word.
		c.members.NotifyLeave(tokyo)
		require.Empty(t, sites())
		c.members.heard("b")
		c.members.NotifyLeave(tokyo2)
		time.Sleep(silentAfter - time.Second)
		require.Empty(t, sites())
		time.Sleep(time.Second)
		require.Equal(t, []string{"tokyo"}, sites())
		c.members.NotifyJoin(tokyo)
		require.Empty(t, sites())
		// Nobody waits for ever.
		c.members.NotifyLeave(tokyo)
		time.Sleep(rememberFor - time.Second)
		require.Equal(t, []string{"tokyo"}, sites())
		time.Sleep(time.Second)
		require.Empty(t, sites())
	})
}

func TestClash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMembers("self", "berlin", newTally().refuse, time.Now)
		clash := func() bool { _, lasts := m.clashes(); return lasts }
		one, other := node("a", "192.0.2.1", ""), node("a", "192.0.2.2", "")
		m.NotifyConflict(one, other)
		require.False(t, clash()) // it may be the same one, somewhere else
		time.Sleep(clashAfter)
		require.False(t, clash())
		m.NotifyConflict(one, other)
		require.True(t, clash())
		time.Sleep(clashIsOver + time.Second)
		require.False(t, clash())
		m.NotifyConflict(one, other)
		require.False(t, clash())
	})
}

// Two gateways of one name find each other out.
func TestClashIsFound(t *testing.T) {
	n := &network{}
	first := n.make(t, "same", "berlin", nil)
	at := start(t, first)
	start(t, n.make(t, "same", "tokyo", []string{at}))
	eventually(t, "both know", func() bool {
		first.members.mu.Lock()
		defer first.members.mu.Unlock()
		return first.members.clash.name == "same"
	})
	_, site := first.Self()
	require.Equal(t, map[string]string{"same": site}, first.Alive())
}

// console is what the cluster hangs its page into.
type console struct {
	*http.ServeMux
	component.Component
}

func TestAPI(t *testing.T) {
	n := &network{}
	mux := http.NewServeMux()
	first := n.make(t, "first", "berlin", nil, keyA)
	first.AddState("reg", newRegister())
	require.NoError(t, first.Start(context.Background(), hostWith{component.MustNewID("console"): console{ServeMux: mux}}))
	t.Cleanup(func() { require.NoError(t, first.Shutdown(context.Background())) })
	second := n.make(t, "second", "tokyo", []string{first.transport.advertise.String()}, keyA)
	start(t, second)
	eventually(t, "it came", func() bool { return len(first.Alive()) == 2 })
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest("GET", "/api/v1/cluster", nil))
	var all shown
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &all))
	require.Equal(t, "first", all.Name)
	require.Equal(t, 1, all.Keys)
	require.Len(t, all.Members, 2)
	require.True(t, all.Members[0].Self)
	require.Equal(t, "second", all.Members[1].Name)
	require.Equal(t, "tokyo", all.Members[1].Site)
	require.Equal(t, "1.2.3", all.Members[1].Version)
	require.Equal(t, second.transport.advertise.String(), all.Members[1].Address)
	require.NotNil(t, all.Silent)
	require.Contains(t, all.Refused, "key")
	require.NotContains(t, answer.Body.String(), keyA)
}
