package failover

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"

	"github.com/lockkeeper/lockkeeper/xds"
)

// three launches a gateway at each of three sites.
func three(t *testing.T, directory string) (n *network, berlin, tokyo, outside *gateway) {
	n = &network{}
	one := func(name, site string) *gateway {
		cfg := acting(directory + "/" + name)
		cfg.Sites = threeSites()
		return launchAmong(t, cfg, n.join(name, site))
	}
	return n, one("b1", "berlin"), one("t1", "tokyo"), one("w1", "outside")
}

// same holds that all serve the same, by the same version.
func same(t *testing.T, gateways ...*gateway) {
	t.Helper()
	for _, g := range gateways[1:] {
		require.Equal(t, gateways[0].serving(), g.serving())
	}
}

// look is a second in which each of them sees the same.
func look(seconds int, subjects []string, gateways ...*gateway) {
	for range seconds {
		for _, g := range gateways[1:] {
			g.glance(subjects...)
		}
		gateways[0].see(1, subjects...)
	}
}

// An IDC's entry goes down by two of three sites, and never by one.
func TestTwoOfThreeSites(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		_, berlin, tokyo, outside := three(t, directory)
		defer func() { berlin.stop(); tokyo.stop(); outside.stop() }()
		well, ill := []string{entry1, entry2}, []string{entry1, "!" + entry2}
		look(10, well, berlin, tokyo, outside)
		same(t, berlin, tokyo, outside)
		require.Equal(t, map[string]uint32{"idc1": 5000, "idc2": 5000}, tokyo.entry())
		for range 10 { // the link from idc1 to idc2 is cut
			berlin.glance(ill...)
			outside.glance(well...)
			tokyo.see(1, well...)
		}
		require.Equal(t, map[string]uint32{"idc1": 5000, "idc2": 5000}, berlin.entry())
		for range 10 { // and so is that from outside
			berlin.glance(ill...)
			outside.glance(ill...)
			tokyo.see(1, well...)
		}
		same(t, berlin, tokyo, outside)
		require.Equal(t, map[string]uint32{"idc1": xds.Whole, "idc2": 0}, tokyo.entry())
		for range 120 {
			berlin.glance(ill...)
			outside.glance(ill...)
			tokyo.see(1, well...)
		}
		require.Contains(t, berlin.alertNames(), "FailoverDisagree")
		require.Equal(t, int64(6), berlin.metric(t, "lockkeeper_failover_shared", attribute.String("topic", "opinion")))
		require.Equal(t, int64(0), berlin.metric(t, "lockkeeper_failover_shared_refused_total", attribute.String("reason", refusedMalformed)))
		require.GreaterOrEqual(t, berlin.metric(t, "lockkeeper_failover_shared_conflicts_total"), int64(0))
		var answer status
		tokyo.get(t, "GET", "/api/v1/failover?subject="+entry2, "", &answer)
		require.Len(t, answer.Subjects[0].Opinions, 3)
		require.Equal(t, Dead, answer.Subjects[0].Opinions[0].Health)
		require.Equal(t, Healthy, answer.Subjects[0].Opinions[2].Health)
	})
}

// A site that is silent counts as one that watches: what is left is no quorum, the last decision stands, and somebody is told.
func TestWithoutQuorum(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		n, berlin, tokyo, outside := three(t, directory)
		defer func() { berlin.stop(); tokyo.stop(); outside.stop() }()
		machines := []string{entry1, entry2, "machine/a", "machine/b", "machine/c", "machine/d"}
		look(10, machines, berlin, tokyo, outside)
		look(10, []string{"!" + entry1, entry2, "!machine/a", "machine/b", "machine/c", "machine/d"}, berlin, tokyo, outside)
		require.Equal(t, map[string]uint32{"idc1": 0, "idc2": xds.Whole}, berlin.entry())
		version := berlin.serving().Version
		n.part("b1", "t1") // of the two each sees the other
		n.part("b1")
		look(30, []string{entry1, "!" + entry2, "machine/a", "!machine/b", "machine/c", "machine/d"}, berlin)
		require.Equal(t, map[string]uint32{"idc1": 0, "idc2": xds.Whole}, berlin.entry())
		require.Len(t, berlin.serving().Out, 1)
		require.Contains(t, berlin.serving().Out, "machine/a")
		require.Contains(t, berlin.alertNames(), "FailoverQuorum")
		look(5, []string{"!" + entry1, entry2, "!machine/a", "machine/b", "machine/c", "machine/d"}, berlin, tokyo, outside)
		n.part()
		look(5, []string{"!" + entry1, entry2, "!machine/a", "machine/b", "machine/c", "machine/d"}, berlin, tokyo, outside)
		same(t, berlin, tokyo, outside)
		require.GreaterOrEqual(t, berlin.serving().Version, version)
		require.Equal(t, map[string]uint32{"idc1": 0, "idc2": xds.Whole}, tokyo.entry())
	})
}

// What a person says to one gateway all do, and what is taken back is taken back by all, also by one that was away.
func TestPeopleAreHeardByAll(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		n, berlin, tokyo, outside := three(t, directory)
		defer func() { berlin.stop(); tokyo.stop(); outside.stop() }()
		well := []string{entry1, entry2, "machine/a", "machine/b", "machine/c", "machine/d"}
		look(10, well, berlin, tokyo, outside)
		answer := berlin.ask("POST", "/api/v1/failover/hold", `{"subject":"machine/a","action":"eject","for":"2h"}`)
		require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
		look(1, well, berlin, tokyo, outside)
		same(t, berlin, tokyo, outside)
		require.Contains(t, tokyo.serving().Out, "machine/a")
		n.part("b1")
		require.Equal(t, http.StatusOK, tokyo.ask("DELETE", "/api/v1/failover/hold?subject=machine/a", "").Code)
		look(600, well, berlin, tokyo, outside)
		require.Contains(t, berlin.serving().Out, "machine/a")
		require.Empty(t, tokyo.serving().Out)
		n.part()
		look(2, well, berlin, tokyo, outside)
		same(t, berlin, tokyo, outside)
		require.Empty(t, berlin.serving().Out)

		answer = tokyo.ask("POST", "/api/v1/failover/shift", `{"to":{"idc1":10},"for":"30m"}`)
		require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
		look(1, well, berlin, tokyo, outside)
		require.Equal(t, uint32(1000), outside.entry()["idc1"])
		same(t, berlin, tokyo, outside)
		require.Equal(t, http.StatusOK, outside.ask("DELETE", "/api/v1/failover/shift", "").Code)
		look(1, well, berlin, tokyo, outside)
		require.Equal(t, uint32(5000), tokyo.entry()["idc1"])
		same(t, berlin, tokyo, outside)
	})
}

// What was taken out, and is put back while a gateway is away, is not taken out again when it returns. Nor is a clock believed that is far ahead.
func TestNothingOldReturns(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		n, berlin, tokyo, outside := three(t, directory)
		defer func() { berlin.stop(); tokyo.stop(); outside.stop() }()
		well := []string{entry1, entry2, "machine/a", "machine/b", "machine/c", "machine/d"}
		ill := []string{entry1, entry2, "!machine/a", "machine/b", "machine/c", "machine/d"}
		look(10, well, berlin, tokyo, outside)
		look(10, ill, berlin, tokyo, outside)
		n.part("b1")
		look(600, well, berlin, tokyo, outside)
		require.Contains(t, berlin.serving().Out, "machine/a", "it has nobody to agree with")
		require.Empty(t, tokyo.serving().Out)
		version := tokyo.serving().Version
		n.part()
		for range 100 {
			look(1, well, berlin, tokyo, outside)
			same(t, berlin, tokyo, outside)
			require.Empty(t, tokyo.serving().Out)
		}
		require.GreaterOrEqual(t, tokyo.serving().Version, version)

		fast := aLedger("f1", time.Now().Add(time.Hour))
		h := aHold("machine/b", time.Now().Add(time.Hour), time.Hour)
		fast.write(topicHold, h.Subject, 0, h.Until, h, time.Now().Add(time.Hour))
		require.NoError(t, berlin.shared.Merge(fast.whole(time.Now().Add(time.Hour))))
		look(1, well, berlin, tokyo, outside)
		require.Empty(t, berlin.serving().Out)
		require.Contains(t, berlin.alertNames(), "FailoverClock")
		require.Equal(t, int64(1), berlin.metric(t, "lockkeeper_failover_shared_refused_total", attribute.String("reason", refusedClock)))
	})
}

// A gateway that starts knows from the first what the others have out, and its versions go on.
func TestStartAmongOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		n, berlin, tokyo, outside := three(t, directory)
		defer func() { berlin.stop(); outside.stop() }()
		ill := []string{"!" + entry1, entry2, "!machine/a", "machine/b", "machine/c", "machine/d"}
		look(10, []string{entry1, entry2, "machine/a", "machine/b", "machine/c", "machine/d"}, berlin, tokyo, outside)
		look(10, ill, berlin, tokyo, outside)
		same(t, berlin, tokyo, outside)
		tokyo.stop()
		n.leave("t1")
		cfg := acting(directory + "/fresh")
		cfg.Sites = threeSites()
		fresh := launchAmong(t, cfg, n.join("t1", "tokyo"))
		defer fresh.stop()
		var first *xds.Serving
		stop := fresh.WatchServing(func(s *xds.Serving) {
			if first == nil {
				first = s
			}
		})
		defer stop()
		look(1, ill, berlin, fresh, outside)
		require.Contains(t, first.Out, "machine/a")
		require.Equal(t, uint32(0), first.IDCs["idc1"].Entry)
		look(5, ill, berlin, fresh, outside)
		same(t, berlin, fresh, outside)
	})
}

// Gateways with other settings serve what theirs say, and say so.
func TestRulesDiffer(t *testing.T) {
	inBubble(t, func(t *testing.T, directory string) {
		n := &network{}
		var all []*gateway
		for name, weight := range map[string]float64{"b1": 50, "t1": 60} {
			cfg := acting(directory + "/" + name)
			cfg.Sites = threeSites()
			cfg.IDCs = map[string]IDCConfig{"idc1": {Weight: weight}, "idc2": {Weight: 100 - weight}}
			g := launchAmong(t, cfg, n.join(name, map[string]string{"b1": "berlin", "t1": "tokyo"}[name]))
			defer g.stop()
			all = append(all, g)
		}
		look(10, []string{entry1, entry2}, all...)
		versions := [2]uint64{all[0].serving().Version, all[1].serving().Version}
		look(10, []string{entry1, entry2}, all...)
		require.Equal(t, versions, [2]uint64{all[0].serving().Version, all[1].serving().Version})
		require.NotEqual(t, all[0].entry(), all[1].entry())
		require.Contains(t, all[0].alertNames(), "FailoverRulesDiffer")
	})
}

// Mistakes show at the start.
func TestSharingMistakes(t *testing.T) {
	f := func(want string, sites map[string]string, m component.Component) {
		t.Helper()
		cfg := acting(t.TempDir())
		cfg.Sites = sites
		g, err := newFailover(cfg, newGatewayTelemetry(t))
		require.NoError(t, err)
		host := testHost{}
		if m != nil {
			host[component.MustNewID("cluster")] = m
		}
		require.ErrorContains(t, g.Start(context.Background(), host), want)
		require.NoError(t, errors.Join(g.Shutdown(context.Background())))
	}
	n := &network{}
	f("sites: they decide together by the extension cluster", threeSites(), nil)
	f(`there is no "paris"`, threeSites(), n.join("p1", "paris"))
	f(`there is no "berlin"`, nil, n.join("b1", "berlin"))
}
