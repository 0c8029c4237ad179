package failover

import (
	"context"
	"fmt"
	"slices"
	"time"

	gossip "github.com/prometheus/alertmanager/cluster"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/zap"

	"github.com/lockkeeper/lockkeeper/probes"
	"github.com/lockkeeper/lockkeeper/xds"
)

// node is one gateway: its loop, without the goroutine.
type node struct {
	*loop
	life  *together
	name  string
	site  string
	skew  time.Duration
	wrong time.Duration // by which its clock is so at the start
	down  bool
	known map[string]string // who answers, as it knows
	last  xds.Serving       // that it served
	ended map[string]bool   // holds that it has seen end
	seen  map[string]Hold
}

func (n *node) AddState(string, gossip.State) gossip.ClusterChannel { return n }
func (n *node) Self() (string, string)                              { return n.name, n.site }
func (n *node) Alive() map[string]string                            { return n.known }
func (n *node) WatchMembers(func()) func()                          { return func() {} }
func (n *node) WaitReady(context.Context) error                     { return nil }

// Broadcast is the network.
func (n *node) Broadcast(text []byte) {
	w := n.life
	for _, to := range w.nodes {
		if to == n || w.group[to.name] != w.group[n.name] {
			continue
		}
		for copies := 1 + w.random.IntN(8)/7; copies > 0; copies-- {
			at := w.now
			if !w.calm {
				if w.random.IntN(30) == 0 {
					continue
				}
				at = at.Add(time.Duration(w.random.IntN(1500)) * time.Millisecond)
			}
			w.mail = append(w.mail, letter{at, to, text})
		}
	}
}

// own is the node's time.
func (n *node) own() time.Time { return n.life.now.Add(n.skew) }

// begin starts the gateway, or starts it again with what is on its disk.
func (n *node) begin() {
	past := n.left()
	board := newBoard()
	m, err := newMetrics(noop.NewMeterProvider(), board)
	require.NoError(n.life.t, err)
	c := &clock{began: n.own()}
	c.mended.Store(int64(n.wrong))
	shared, err := newSharing(n, n.life.rules, zap.NewNop(), c)
	require.NoError(n.life.t, err)
	shared.channel = n
	n.loop = &loop{
		rules: n.life.rules, log: zap.NewNop(), metrics: m, inbox: newInbox(), board: board, events: newEvents(nil), share: &Share{}, places: &n.life.places,
		keeper: newKeeper(disk{}, "", zap.NewNop(), m), judge: NewJudge(n.life.rules, n.site), shared: shared,
	}
	if past != nil {
		past.resume(n.own())
	}
	n.loop.begin(past, nil, n.own())
	for _, other := range n.life.nodes { // the join
		if other != n && other.loop != nil && !other.down && n.life.group[other.name] == n.life.group[n.name] {
			n.meet(other)
		}
	}
	n.shared.join(context.Background())
}

// left is what is on its disk.
func (n *node) left() *state {
	if n.loop == nil {
		return nil
	}
	data, err := encodeState(n.loop.state())
	require.NoError(n.life.t, err)
	past, err := decodeState(data)
	require.NoError(n.life.t, err)
	return past
}

// meet is a push-pull.
func (n *node) meet(other *node) {
	mine, theirs := n.shared.ledger.whole(n.own()), other.shared.ledger.whole(other.own())
	_ = n.shared.ledger.hear(theirs, n.own())
	_ = other.shared.ledger.hear(mine, other.own())
}

func (n *node) observe() {
	w := n.life
	for _, subject := range w.subjects {
		if w.random.IntN(30) == 0 && !w.calm {
			continue
		}
		idc := ""
		if Kind(subject) == kindMachine {
			idc = subject[len("machine/"):][:4]
		}
		n.judge.Observe(probes.Evidence{
			Subject: subject, IDC: idc, Probe: "p", At: n.own().Add(-time.Duration(w.random.IntN(100)) * time.Millisecond), Next: 3 * time.Second,
			OK: !w.failing[n.site+subject], Reason: "timeout",
		})
	}
}

// decide has the node decide, and looks at what comes of it.
func (n *node) decide() {
	w := n.life
	n.loop.mend(n.own()) // what others have out is no decision of its own
	agreed := n.shared.ledger.agreed(n.own())
	n.loop.decide(n.own())
	v, _ := n.board.get()
	served := v.decision.Serving
	if served.Version < n.last.Version {
		w.fatal("%s went back from version %d to %d", n.name, n.last.Version, served.Version)
	}
	if served.Version == n.last.Version && !sameServing(served, n.last) {
		w.fatal("%s serves two things by version %d", n.name, served.Version)
	}
	n.last = served
	var entry, mesh uint32
	for _, idc := range served.IDCs {
		entry, mesh = entry+idc.Entry, mesh+idc.Mesh
	}
	if entry != xds.Whole || mesh != xds.Whole || len(served.Out) > 0 && !slices.ContainsFunc(w.subjects, func(s string) bool {
		_, out := served.Out[s]
		return Kind(s) == kindEndpoint && !out
	}) {
		w.fatal("%s serves nothing: %v", n.name, served)
	}
	for subject, verdict := range v.decision.Verdict {
		if verdict.Down && !agreed[subject].Down {
			n.judged(v, subject)
		}
	}
	n.holdsEnd()
}

// judged: what goes down a quorum calls dead.
func (n *node) judged(v *view, subject string) {
	bad, watch := 0, 0
	for _, o := range v.opinions {
		if o.Subject == subject {
			watch++
			if o.Health == Dead {
				bad++
			}
		}
	}
	if Kind(subject) == kindIDC {
		watch = 3
	}
	if 2*bad <= watch {
		n.life.fatal("%s takes out %s, which %d of %d call dead", n.name, subject, bad, watch)
	}
}

// holdsEnd: a hold that has ended here never comes back here.
func (n *node) holdsEnd() {
	if n.shared.ledger.clock.mended.Load() != 0 { // it is wrong about what is over
		n.ended, n.seen = map[string]bool{}, map[string]Hold{}
		return
	}
	now := map[string]Hold{}
	for _, h := range n.holds {
		id := fmt.Sprint(h.Subject, h.At.UnixNano(), h.By)
		if n.ended[id] {
			n.life.fatal("%s holds again what has ended: %v", n.name, h)
		}
		now[id] = h
	}
	for id := range n.seen {
		if _, ok := now[id]; !ok {
			n.ended[id] = true
		}
	}
	n.seen = now
}
