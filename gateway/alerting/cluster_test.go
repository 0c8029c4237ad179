package alerting

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// trio are three gateways with the same channel.
type trio struct {
	mesh     mesh
	chat     *plugin
	began    time.Time // when all alerts began
	gateways [3]*gateway
}

func (tr *trio) names() []string { return []string{"a", "b", "c"} }

func newTrio(t *testing.T, text string) *trio {
	t.Helper()
	tr := &trio{chat: serve(t, "notification"), began: time.Now().Add(-time.Second)}
	for i, name := range tr.names() {
		g := newGateway(t, text, map[string]*plugin{"chat": tr.chat})
		g.cfg.PeerTimeout = 1500 * time.Millisecond
		g.cluster = tr.mesh.newNode(t, name)
		tr.gateways[i] = g
	}
	for _, g := range tr.gateways {
		g.start(t)
	}
	return tr
}

// post sends alerts to all gateways, as whoever has alerts does.
func (tr *trio) post(t *testing.T, name string, ends time.Time) {
	t.Helper()
	for _, g := range tr.gateways {
		if g.cluster != nil {
			g.post(t, fmt.Sprintf(`[{"labels":{"alertname":%q}, "startsAt":%q, "endsAt":%q}]`,
				name, tr.began.Format(time.RFC3339Nano), ends.Format(time.RFC3339Nano)))
		}
	}
}

// rest waits until each gateway has had its turn at what was posted before.
func (tr *trio) rest() { time.Sleep(3 * tr.gateways[0].cfg.PeerTimeout) }

// told counts what chat was told of, by status and group.
func (tr *trio) told(t *testing.T) map[string]int {
	t.Helper()
	told := map[string]int{}
	for len(tr.chat.groups) > 0 {
		g := tr.chat.next(t)
		told[g.Status+" "+g.GroupKey]++
	}
	return told
}

// What all gateways know, one of them tells, also that it is over.
func TestGatewaysTellOnce(t *testing.T) {
	t.Parallel()
	tr := newTrio(t, quick)
	tr.post(t, "Hot", time.Now().Add(time.Hour))
	tr.rest()
	require.Equal(t, map[string]int{`firing {}:{alertname="Hot"}`: 1}, tr.told(t))
	tr.post(t, "Hot", time.Now())
	tr.rest()
	require.Equal(t, map[string]int{`resolved {}:{alertname="Hot"}`: 1}, tr.told(t))
}

// A gateway that dies before it tells is stood in for, and one that comes back repeats nothing: neither what was told meanwhile, nor what is over since.
func TestGatewayDies(t *testing.T) {
	t.Parallel()
	tr := newTrio(t, quick)
	first := tr.gateways[0]
	later := time.Now().Add(time.Hour)
	tr.post(t, "Old", later)
	require.Equal(t, `{}:{alertname="Old"}`, tr.chat.next(t).GroupKey)
	require.NoError(t, first.alerting.Shutdown(t.Context()))
	first.cluster.leave()
	first.cluster = nil
	tr.post(t, "New", later)
	tr.post(t, "Old", time.Now())
	tr.rest()
	require.Equal(t, map[string]int{`firing {}:{alertname="New"}`: 1, `resolved {}:{alertname="Old"}`: 1}, tr.told(t))

	first.cluster = tr.mesh.newNode(t, "a")
	first.start(t)
	tr.post(t, "New", later)
	tr.rest()
	require.Empty(t, tr.told(t))
	require.NotContains(t, first.ask(http.MethodGet, "/api/v2/alerts", "").Body.String(), "Old", "others have told that it is over")
}

// Each side of a partition tells, and none repeats when they reach one another again.
func TestPartition(t *testing.T) {
	t.Parallel()
	tr := newTrio(t, quick)
	tr.mesh.part("a")
	tr.post(t, "Hot", time.Now().Add(time.Hour))
	tr.rest()
	require.Equal(t, map[string]int{`firing {}:{alertname="Hot"}`: 2}, tr.told(t), "one on each side")
	tr.mesh.part()
	tr.mesh.pushPull()
	tr.rest()
	require.Empty(t, tr.told(t))
}

// A silence that is made at one gateway silences at all, is kept by all, and is over for all.
func TestSilenceForAll(t *testing.T) {
	t.Parallel()
	tr := newTrio(t, quick)
	a, b, c := tr.gateways[0], tr.gateways[1], tr.gateways[2]
	now := time.Now()
	ids := map[string]string{}
	for name, comment := range map[string]string{"Short": "short", "Long": strings.Repeat("long", 1000)} {
		answer := b.ask(http.MethodPost, "/api/v2/silences", fmt.Sprintf(`{"matchers":[{"name":"alertname","value":%q,"isRegex":false}],`+
			`"startsAt":%q,"endsAt":%q,"createdBy":"alice","comment":%q}`, name, now.Format(time.RFC3339Nano), now.Add(time.Hour).Format(time.RFC3339Nano), comment))
		require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
		ids[name] = strings.Split(answer.Body.String(), `"`)[3]
	}
	until := func(g *gateway, state string) {
		t.Helper()
		for name, id := range ids {
			require.Eventually(t, func() bool {
				return strings.Contains(g.ask(http.MethodGet, "/api/v2/silence/"+id, "").Body.String(), `"state":"`+state)
			}, patience, 10*time.Millisecond, "%s is not %s", name, state)
		}
	}
	for _, g := range tr.gateways {
		until(g, "active")
	}
	require.Contains(t, c.ask(http.MethodGet, "/api/v2/silence/"+ids["Short"], "").Body.String(), `"createdBy":"oncall (alice)"`)
	for name := range ids {
		tr.post(t, name, now.Add(time.Hour))
	}
	tr.rest()
	require.Empty(t, tr.told(t))
	// c has it on disk
	require.NoError(t, c.alerting.Shutdown(t.Context()))
	c.cluster.leave()
	c.cluster = nil
	c.start(t)()
	until(c, "active")
	c.cluster = tr.mesh.newNode(t, "c")
	c.start(t)
	// whoever is asked ends it for all
	for _, id := range ids {
		require.Equal(t, http.StatusOK, a.ask(http.MethodDelete, "/api/v2/silence/"+id, "").Code)
	}
	for _, g := range tr.gateways {
		until(g, "expired")
	}
	tr.rest()
	require.Equal(t, map[string]int{`firing {}:{alertname="Short"}`: 1, `firing {}:{alertname="Long"}`: 1}, tr.told(t))
}

// Alerts that each gateway has of its own are told of for each, once; those that all gateways raise alike, once.
func TestOwnAlerts(t *testing.T) {
	t.Parallel()
	tr := newTrio(t, quick)
	began := time.Now()
	for _, g := range tr.gateways {
		g.part.say(
			sdk.Alert{Labels: map[string]string{"alertname": "PluginDown", "plugin": "disk"}, StartsAt: began},
			sdk.Alert{Labels: map[string]string{"alertname": "IdcDead", "gateway": ""}, StartsAt: began},
		)
	}
	tr.rest()
	tr.rest()
	require.Equal(t, map[string]int{
		`firing {}:{alertname="PluginDown", gateway="a"}`: 1,
		`firing {}:{alertname="PluginDown", gateway="b"}`: 1,
		`firing {}:{alertname="PluginDown", gateway="c"}`: 1,
		`firing {}:{alertname="IdcDead"}`:                 1,
	}, tr.told(t))
}

// A gateway that learns nothing from the others tells all the same.
func TestClusterFails(t *testing.T) {
	chat := serve(t, "notification")
	g := newGateway(t, quick, map[string]*plugin{"chat": chat})
	m := mesh{}
	g.cluster = m.newNode(t, "a")
	g.cluster.deaf = errors.New("nobody answers")
	g.ready = 100 * time.Millisecond
	g.start(t)
	g.post(t, `[{"labels":{"alertname":"Hot"}}]`)
	require.Equal(t, "Hot", chat.next(t).GroupLabels["alertname"])
}

// A gateway that is about to stop tells of nothing that it could not tell the others of. What comes until it has stopped is told of afterwards.
func TestStopIsNoRepeat(t *testing.T) {
	chat := serve(t, "notification")
	g := newGateway(t, quick, map[string]*plugin{"chat": chat})
	stop := g.start(t)
	require.NoError(t, g.alerting.NotReady())
	g.post(t, `[{"labels":{"alertname":"Late"}}]`)
	time.Sleep(300 * time.Millisecond) // three group intervals
	require.Empty(t, chat.groups)
	stop()
	g.start(t)
	require.Equal(t, "Late", chat.next(t).GroupLabels["alertname"])
}

// The API shows who is in the cluster.
func TestShownPeers(t *testing.T) {
	t.Parallel()
	tr := newTrio(t, quick)
	f := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool {
			return strings.Contains(tr.gateways[1].ask(http.MethodGet, "/api/v2/status", "").Body.String(), want)
		}, patience, 10*time.Millisecond)
	}
	f(`"cluster":{"name":"b","peers":[{"address":"site of a","name":"a"},{"address":"site of b","name":"b"},{"address":"site of c","name":"c"}],"status":"ready"}`)
	tr.mesh.part("a", "b")
	f(`"peers":[{"address":"site of a","name":"a"},{"address":"site of b","name":"b"}]`)
}
