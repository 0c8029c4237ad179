package alerting

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/prometheus/alertmanager/cluster"
	"go.opentelemetry.io/collector/component"
)

// mesh stands for what connects the gateways of a test.
type mesh struct {
	mu    sync.Mutex
	nodes map[string]*node
	apart map[string]bool // nodes that reach none of the others, but one another
}

// node stands for the extension cluster of a gateway.
type node struct {
	component.Component
	mesh   *mesh
	name   string
	states map[string]cluster.State
	deaf   error // of WaitReady
	sent   chan message
	ended  sync.WaitGroup
}

type message struct {
	key  string
	text []byte
	to   []*node
}

// newNode joins a gateway. What it broadcasts comes to the others in turn, from a goroutine of its own.
func (m *mesh) newNode(t testing.TB, name string) *node {
	t.Helper()
	sent := make(chan message, 10_000)
	n := &node{mesh: m, name: name, states: map[string]cluster.State{}, sent: sent}
	n.ended.Go(func() {
		for s := range sent {
			for _, other := range s.to {
				m.mu.Lock()
				state := other.states[s.key]
				m.mu.Unlock()
				if state != nil {
					_ = state.Merge(s.text)
				}
			}
		}
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.nodes == nil {
		m.nodes = map[string]*node{}
	}
	m.nodes[name] = n
	t.Cleanup(n.leave)
	return n
}

func (n *node) leave() {
	n.mesh.mu.Lock()
	if n.mesh.nodes[n.name] == n {
		delete(n.mesh.nodes, n.name)
	}
	if n.sent != nil {
		close(n.sent)
		n.sent = nil
	}
	n.mesh.mu.Unlock()
	n.ended.Wait()
}

// reached are the nodes that n reaches, by name. The mesh is locked.
func (n *node) reached() []*node {
	var all []*node
	for _, name := range slices.Sorted(maps.Keys(n.mesh.nodes)) {
		if n.mesh.apart[name] == n.mesh.apart[n.name] {
			all = append(all, n.mesh.nodes[name])
		}
	}
	return all
}

func (n *node) AddState(key string, state cluster.State) cluster.ClusterChannel {
	n.mesh.mu.Lock()
	defer n.mesh.mu.Unlock()
	if n.states[key] != nil {
		panic(key + " is there twice")
	}
	n.states[key] = state
	return broadcast{n, key}
}

type broadcast struct {
	from *node
	key  string
}

func (b broadcast) Broadcast(text []byte) {
	n := b.from
	n.mesh.mu.Lock()
	defer n.mesh.mu.Unlock()
	if n.sent != nil {
		n.sent <- message{b.key, text, slices.DeleteFunc(n.reached(), func(other *node) bool { return other == n })}
	}
}

func (n *node) Self() (name, site string) { return n.name, "site of " + n.name }

func (n *node) Alive() map[string]string {
	n.mesh.mu.Lock()
	defer n.mesh.mu.Unlock()
	alive := map[string]string{}
	for _, other := range n.reached() {
		alive[other.name] = "site of " + other.name
	}
	return alive
}

func (n *node) Position() int {
	n.mesh.mu.Lock()
	defer n.mesh.mu.Unlock()
	return slices.Index(n.reached(), n)
}

// WaitReady is the push-pull of the join.
func (n *node) WaitReady(ctx context.Context) error {
	if n.deaf != nil {
		<-ctx.Done()
		return n.deaf
	}
	n.mesh.pushPull()
	return nil
}

// pushPull tells everybody the whole.
func (m *mesh) pushPull() {
	type whole struct {
		from, to cluster.State
	}
	var all []whole
	m.mu.Lock()
	for _, from := range m.nodes {
		for _, to := range from.reached() {
			for key, state := range from.states {
				if to != from && to.states[key] != nil {
					all = append(all, whole{state, to.states[key]})
				}
			}
		}
	}
	m.mu.Unlock()
	for _, w := range all {
		text, err := w.from.MarshalBinary()
		if err == nil {
			_ = w.to.Merge(text)
		}
	}
}

// part has some reach only one another; without names, everybody is reached again.
func (m *mesh) part(names ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.apart = map[string]bool{}
	for _, name := range names {
		m.apart[name] = true
	}
}
