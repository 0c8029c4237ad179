package failover

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/zap"
)

// aLargeSite is a gateway's loop with 10,000 machines that two others see, too.
func aLargeSite(tb testing.TB) (l *loop, others *ledger, now time.Time) {
	judge, _, now := aFleet(tb)
	judge.site = "berlin"
	for _, s := range judge.sorted {
		s.Site = "berlin"
	}
	rules := twoIDCs(true)
	rules.Sites = threeSites()
	n := &network{}
	m := n.join("b1", "berlin")
	for name, site := range map[string]string{"t1": "tokyo", "w1": "outside"} {
		other := n.join(name, site)
		other.state = &sharing{heard: make(chan struct{}, 1), ledger: aLedger(name, now)} // it answers
		for _, o := range judge.Opinions(now) {
			o.Site = site
			other.state.(*sharing).ledger.write(topicOpinion, name+"/"+o.Subject, 0, now.Add(opinionLasts), o, now)
		}
		others = other.state.(*sharing).ledger
	}
	shared, err := newSharing(m, rules, zap.NewNop(), &clock{began: now})
	require.NoError(tb, err)
	shared.channel = m
	for _, other := range n.members {
		if other != m {
			require.NoError(tb, shared.ledger.hear(other.state.(*sharing).ledger.whole(now), now))
		}
	}
	board := newBoard()
	metrics, err := newMetrics(noop.NewMeterProvider(), board)
	require.NoError(tb, err)
	l = &loop{
		rules: rules, log: zap.NewNop(), metrics: metrics, board: board, events: newEvents(nil), places: &(&failover{}).places, share: &Share{},
		keeper: newKeeper(disk{}, "", zap.NewNop(), metrics), judge: judge, shared: shared,
	}
	l.begin(nil, nil, now)
	l.decide(now)
	v, _ := board.get()
	require.Len(tb, v.opinions, 3*fleet)
	return l, others, now
}

// A decision of three gateways about 10,000 machines, of which nothing has changed.
func BenchmarkDecideTogether(b *testing.B) {
	l, _, now := aLargeSite(b)
	for b.Loop() {
		l.decide(now)
	}
}

// One of which another gateway holds something else.
func BenchmarkDecideTogetherAnew(b *testing.B) {
	l, others, now := aLargeSite(b)
	for i := 0; b.Loop(); i++ {
		health := []Health{Healthy, Dead}[i%2]
		others.write(topicOpinion, others.self+"/machine/host-00001.example.com", 0, now.Add(opinionLasts), Opinion{Subject: "machine/host-00001.example.com", Site: map[string]string{"t1": "tokyo", "w1": "outside"}[others.self], Health: health, Since: now}, now)
		for _, m := range others.tell(now) {
			require.NoError(b, l.shared.ledger.hear(m, now))
		}
		l.decide(now)
	}
}

// The whole of three gateways with 10,000 machines, told and heard.
func BenchmarkHearWhole(b *testing.B) {
	l, _, now := aLargeSite(b)
	whole := l.shared.ledger.whole(now)
	b.SetBytes(int64(len(whole)))
	fresh := aLedger("x", now)
	for b.Loop() {
		require.NoError(b, fresh.hear(whole, now))
	}
}
