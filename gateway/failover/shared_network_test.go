package failover

import (
	"context"
	"slices"
	"sync"

	gossip "github.com/prometheus/alertmanager/cluster"
	"go.opentelemetry.io/collector/component"
)

// network stands for what the extensions cluster of some gateways are together.
type network struct {
	mu      sync.Mutex
	members map[string]*peer
}

// peer stands for the extension cluster of one gateway.
type peer struct {
	component.Component
	network    *network
	name, site string
	apart      string // those who are apart in the same way reach one another
	state      gossip.State
	changed    func()
}

func (n *network) join(name, site string) *peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := &peer{network: n, name: name, site: site}
	if n.members == nil {
		n.members = map[string]*peer{}
	}
	n.members[name] = m
	return m
}

// reaches gives all that a member reaches, but itself.
func (m *peer) reaches() (others []*peer) {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	for _, o := range m.network.members {
		if o != m && o.apart == m.apart && o.state != nil {
			others = append(others, o)
		}
	}
	return others
}

func (m *peer) AddState(_ string, state gossip.State) gossip.ClusterChannel {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	m.state = state
	return m
}

func (m *peer) Broadcast(message []byte) {
	for _, o := range m.reaches() {
		_ = o.state.Merge(message)
	}
}

func (m *peer) Self() (name, site string) { return m.name, m.site }

func (m *peer) Alive() map[string]string {
	alive := map[string]string{m.name: m.site}
	for _, o := range m.reaches() {
		alive[o.name] = o.site
	}
	return alive
}

func (m *peer) WatchMembers(changed func()) func() {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	m.changed = changed
	return func() {}
}

// WaitReady meets all.
func (m *peer) WaitReady(context.Context) error {
	for _, o := range m.reaches() {
		m.meet(o)
	}
	return nil
}

func (m *peer) meet(o *peer) {
	mine, _ := m.state.MarshalBinary()
	theirs, _ := o.state.MarshalBinary()
	_ = m.state.Merge(theirs)
	_ = o.state.Merge(mine)
}

// part parts the network; who is named is apart from the others, and nobody: it heals.
func (n *network) part(apart ...string) {
	n.mu.Lock()
	all := []*peer{}
	for name, m := range n.members {
		m.apart = ""
		if slices.Contains(apart, name) {
			m.apart = "apart"
		}
		all = append(all, m)
	}
	n.mu.Unlock()
	for _, m := range all {
		if len(apart) == 0 {
			_ = m.WaitReady(context.Background())
		}
		n.mu.Lock()
		changed := m.changed
		n.mu.Unlock()
		if changed != nil {
			changed()
		}
	}
}

// leave is that a gateway dies.
func (n *network) leave(name string) {
	n.mu.Lock()
	delete(n.members, name)
	n.mu.Unlock()
	n.part()
}
