package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	maxMembers = 1024
	// rememberFor is how long a member that was lost or left is expected to come back.
	rememberFor = 24 * time.Hour
)

// What became of a member.
const (
	stateAlive = "alive"
	stateLost  = "lost" // it does not answer
	stateLeft  = "left" // it said that it goes
)

// member is a gateway of the cluster, this one included.
type member struct {
	Name    string
	Site    string
	Version string // of the gateway
	Address netip.AddrPort
	State   string
	Since   time.Time // of the state
	Heard   time.Time // when something of it came here last, directly or passed on

	leaving bool // it has said that it goes
}

// meta is what a member tells of itself with its address. It is at most 512 bytes.
type meta struct {
	Site    string `json:"site"`
	Version string `json:"version"`
	Leaving bool   `json:"leaving,omitempty"` // it is being stopped: the library does not tell this from a death
}

func (m meta) encode() []byte {
	m.Version = m.Version[:min(len(m.Version), maxName)]
	encoded, err := json.Marshal(m)
	if err != nil {
		return nil // such a struct has none
	}
	return encoded
}

func decodeMeta(b []byte) (m meta, err error) {
	if err := json.Unmarshal(b, &m); err != nil {
		return meta{}, errGarbage
	}
	if err := checkName(m.Site); err != nil {
		return meta{}, fmt.Errorf("site: %w", err)
	}
	if len(m.Version) > 6*maxName {
		return meta{}, fmt.Errorf("version: %w", errSize)
	}
	return m, nil
}

// members are all that were seen in the last day. Memberlist tells of changes while it holds its lock: nothing here may ask it back.
type members struct {
	self   string
	refuse func(reason error)
	now    func() time.Time

	alive atomic.Pointer[view]

	mu       sync.Mutex
	known    map[string]*member
	back     []netip.AddrPort // members that were lost and came back since somebody asked
	clash    clash
	watchers map[int]func()
	watched  int           // watchers there ever were
	changed  chan struct{} // there is something to tell the watchers
}

// view is who answers now. It does not change.
type view struct {
	sites    map[string]string // by name
	position int               // of this gateway among the names
}

func newMembers(self, site string, refuse func(error), now func() time.Time) *members {
	m := &members{self: self, now: now, refuse: refuse, known: map[string]*member{}, watchers: map[int]func(){}, changed: make(chan struct{}, 1)}
	m.known[self] = &member{Name: self, Site: site, State: stateAlive, Since: now(), Heard: now()}
	m.look()
	return m
}

// look makes a new view. The lock is held, or there is nobody else yet.
func (m *members) look() {
	v := &view{sites: map[string]string{}}
	for name, known := range m.known {
		if known.State == stateAlive {
			v.sites[name] = known.Site
		}
	}
	v.position, _ = slices.BinarySearch(slices.Sorted(maps.Keys(v.sites)), m.self)
	m.alive.Store(v)
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// watch adds a func to call after each change.
func (m *members) watch(changed func()) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watched++
	id := m.watched
	m.watchers[id] = changed
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers, id)
	}
}

// tell calls the watchers until done is closed.
func (m *members) tell(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-m.changed:
		}
		m.mu.Lock()
		watchers := slices.Collect(maps.Values(m.watchers))
		m.mu.Unlock()
		for _, changed := range watchers {
			changed()
		}
	}
}

// all are copies of all members, sorted by name. Those that went long ago are forgotten.
func (m *members) all() []member {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	all := make([]member, 0, len(m.known))
	for _, name := range slices.Sorted(maps.Keys(m.known)) {
		if known := m.known[name]; known.State == stateAlive || now.Sub(known.Since) < rememberFor {
			all = append(all, *known)
		} else {
			delete(m.known, name)
		}
	}
	return all
}

// heard notes that something of a member came.
func (m *members) heard(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.known[name]; known != nil {
		known.Heard = m.now()
	}
}

// errMeta says that no gateway tells such things of itself.
var errMeta = errors.New("is no member")

// NotifyAlive implements memberlist.AliveDelegate.
func (m *members) NotifyAlive(node *memberlist.Node) error {
	err := m.check(node)
	if err != nil {
		err = fmt.Errorf("%.80q %w: %w", node.Name, errMeta, err)
		m.refuse(err)
	}
	return err
}

func (m *members) check(node *memberlist.Node) error {
	if err := checkName(node.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if _, err := decodeMeta(node.Meta); err != nil {
		return err
	}
	if !address(node).IsValid() || node.Port == 0 {
		return errors.New("it has no address")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known[node.Name] == nil && len(m.known) >= maxMembers {
		return fmt.Errorf("there are %d of them", maxMembers)
	}
	return nil
}

func address(node *memberlist.Node) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(node.Addr)
	return netip.AddrPortFrom(ip.Unmap(), node.Port)
}

// NotifyJoin implements memberlist.EventDelegate.
func (m *members) NotifyJoin(node *memberlist.Node) {
	told, err := decodeMeta(node.Meta)
	if err != nil {
		return // NotifyAlive let nothing through that does not decode
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	known := m.known[node.Name]
	if known == nil {
		known = &member{Name: node.Name}
		m.known[node.Name] = known
	}
	if known.State == stateLost || known.State == stateLeft {
		m.back = append(m.back, address(node))
	}
	if known.State != stateAlive {
		known.State, known.Since = stateAlive, now
	}
	known.Site, known.Version, known.Address, known.Heard, known.leaving = told.Site, told.Version, address(node), now, told.Leaving
	m.look()
}

// NotifyUpdate implements memberlist.EventDelegate.
func (m *members) NotifyUpdate(node *memberlist.Node) { m.NotifyJoin(node) }

// NotifyLeave implements memberlist.EventDelegate.
func (m *members) NotifyLeave(node *memberlist.Node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.known[node.Name]
	if known == nil || node.Name == m.self {
		return
	}
	if known.State, known.Since = stateLost, m.now(); known.leaving {
		known.State = stateLeft
	}
	m.look()
}

// AckPayload implements memberlist.PingDelegate.
func (m *members) AckPayload() []byte { return nil }

// NotifyPingComplete implements memberlist.PingDelegate.
func (m *members) NotifyPingComplete(node *memberlist.Node, _ time.Duration, _ []byte) {
	m.heard(node.Name)
}

// returned are the members that came back since this was asked last. They missed what was told meanwhile, and so did this one.
func (m *members) returned() []netip.AddrPort {
	m.mu.Lock()
	defer m.mu.Unlock()
	back := m.back
	m.back = nil
	return back
}
