package mesh

import (
	"sync"
	"sync/atomic"
	"time"
	"unique"
)

// addresses remembers who is at an address: told by entries that name their upstream and by the nodes themselves. Envoy
// does not name the peer of a request that failed, but it logs the address.
type addresses struct {
	mu    sync.RWMutex
	known map[place]resident

	generation atomic.Uint64 // grows with each IP whose IDC was told
	max        int
}

type place struct {
	ip   string
	port uint32 // 0: the whole machine or pod
}

type resident struct {
	peer      unique.Handle[Peer]
	idc       unique.Handle[string] // of the node; zero: not known, or several
	node      string                // id of the node that said so of itself
	ambiguous bool                  // several workloads are there: nobody can be told
	at        time.Time
}

func (a *addresses) lookup(at address) (unique.Handle[Peer], bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	r, ok := a.known[place{string(at.ip), at.port}]
	if !ok {
		r, ok = a.known[place{ip: string(at.ip)}]
	}
	return r.peer, ok && !r.ambiguous
}

func (a *addresses) learn(at address, peer unique.Handle[Peer]) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	exact, whole := place{string(at.ip), at.port}, place{ip: string(at.ip)}
	before := a.known[exact].peer
	a.put(exact, resident{peer: peer, at: now})
	r, ok := a.known[whole]
	switch {
	case !ok || r.node == "" && r.peer == before && !r.ambiguous: // first, or another workload got this address
		a.put(whole, resident{peer: peer, at: now})
	case r.node == "" && r.peer != peer:
		r.ambiguous, r.at = true, now
		a.put(whole, r)
	}
}

// learnNode notes where a node listens. Two open nodes of different workloads on one IP make it ambiguous.
func (a *addresses) learnNode(n *Node, peer unique.Handle[Peer], idc unique.Handle[string], open map[string]int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, ip := range n.ips {
		at := place{ip: ip}
		r := a.known[at]
		others := r.node != "" && r.node != n.ID && open[r.node] > 0
		now := resident{peer: peer, idc: idc, node: n.ID, ambiguous: others && r.peer != peer, at: time.Now()}
		if others && r.idc != idc {
			now.idc = unique.Handle[string]{}
		}
		if r.idc != now.idc {
			a.generation.Add(1)
		}
		a.put(at, now)
	}
}

// idc is that of the nodes at an IP; zero if there is none that is known.
func (a *addresses) idc(ip []byte) unique.Handle[string] {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.known[place{ip: string(ip)}].idc
}

// isNode tells whether a node that is known is at an IP.
func (a *addresses) isNode(ip []byte) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.known[place{ip: string(ip)}].node != ""
}

func (a *addresses) put(at place, r resident) {
	if _, ok := a.known[at]; ok || len(a.known) < a.max {
		a.known[at] = r
	}
}

// expire forgets what was not confirmed since, but for the nodes that are still open.
func (a *addresses) expire(since time.Time, open map[string]int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for at, r := range a.known {
		if r.at.Before(since) && open[r.node] == 0 {
			delete(a.known, at)
		}
	}
}
