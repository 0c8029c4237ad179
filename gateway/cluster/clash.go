package cluster

import (
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	clashAfter  = 10 * time.Second // one that came again at another address is taken for a second one until the first is known to be dead
	clashIsOver = time.Minute      // two of a name find each other at least every ten seconds
)

// clash is that two gateways have one name.
type clash struct {
	name        string
	addresses   [2]netip.AddrPort
	first, last time.Time
}

// NotifyConflict implements memberlist.ConflictDelegate.
func (m *members) NotifyConflict(existing, other *memberlist.Node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if m.clash.name != existing.Name || now.Sub(m.clash.last) > clashIsOver {
		m.clash = clash{name: existing.Name, first: now}
	}
	m.clash.addresses, m.clash.last = [2]netip.AddrPort{address(existing), address(other)}, now
}

// clashes is the clash that lasts, if one does.
func (m *members) clashes() (c clash, lasts bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c = m.clash
	return c, c.name != "" && m.now().Sub(c.last) <= clashIsOver && c.last.Sub(c.first) >= clashAfter
}

// contested tells whether another one had this one's name a moment ago.
func (m *members) contested() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.clash.name == m.self && m.now().Sub(m.clash.last) <= tryEvery
}
