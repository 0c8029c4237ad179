package mesh

import (
	"cmp"
	"maps"
	"slices"
)

// Bounds of who is named.
const (
	maxIngressCallers = 1024 // that a stream counts by address between two calls of Entered
	maxEnteredCallers = 32   // of an IDC, in Entered
)

// Entered is what entered an IDC through its ingress: requests, and connections that ended, whose sender is no node of the mesh.
type Entered struct {
	IDC       string
	Requests  uint64
	Failures  uint64              // as Edge.Errors counts
	Flags     map[string]uint64   // by each single flag
	Durations [bucketCount]uint64 // of requests, in milliseconds; not cumulated over Bounds
	Callers   map[string]uint64   // by the address of whoever sent them; the busiest
}

// ingress is what a stream of the ingress has counted since the last call of Entered.
type ingress struct {
	requests, failures uint64
	flags              map[Flags]uint64
	durations          [bucketCount]uint64
	callers            table[*caller] // by hash of the address
}

// caller is an address that requests come from.
type caller struct {
	address  string
	inside   bool // a node of the mesh is there: what it sends has not entered
	requests uint64
}

// WatchIngress has the streams that are opened from now on counted for Entered, if they are of the ingress.
func (a *Aggregator) WatchIngress() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watchesIngress = true
}

// isIngress tells whether a node is of the ingress, by Options.Ingress.
func (a *Aggregator) isIngress(n *Node) bool {
	names := a.options.Ingress
	if len(names) == 0 {
		return n.kind() == "router"
	}
	return slices.Contains(names, n.LogName) || slices.Contains(names, n.Workload()) || slices.Contains(names, n.App())
}

// openIngress makes a stream one of the ingress, if it is. One that is not trusted, or does not tell its IDC, is counted instead. a.mu is held.
func (a *Aggregator) openIngress(s *Stream) {
	switch {
	case !a.watchesIngress || !a.isIngress(&s.node):
	case !s.node.Trusted:
		a.ingressUntrusted++
	case s.node.IDC == Unknown:
		a.ingressUnplaced++
	default:
		s.ingress = &ingress{flags: map[Flags]uint64{}}
	}
}

// enter counts a final entry. s.mu is held.
func (s *Stream) enter(raw []byte, k *key, e *entry) {
	in := s.ingress
	if ip := clientOf(raw, e); len(ip) > 0 {
		if c := s.callerOf(ip); c != nil {
			if c.inside {
				return
			}
			c.requests++
		} else if s.inside(ip) {
			return
		}
	}
	in.requests++
	if k.failure() {
		in.failures++
	}
	if k.flags != 0 {
		in.flags[k.flags]++
	}
	if !e.tcp {
		d := e.duration
		if !d.set {
			d = e.lastTx
		}
		in.durations[bucket(&s.aggregator.bounds, d.milliseconds())]++
	}
}

// callerOf is the caller at an address; nil when too many are known.
func (s *Stream) callerOf(ip []byte) *caller {
	callers, hash := &s.ingress.callers, s.secret.hash(ip)
	c, ok := callers.get(hash)
	if !ok && callers.used < maxIngressCallers {
		c = &caller{address: string(ip), inside: s.inside(ip)}
		callers.put(maxIngressCallers, hash, c)
	}
	return c
}

// inside tells whether a node of the mesh is at an address: another than the stream's own, where everybody may be on a single machine.
func (s *Stream) inside(ip []byte) bool {
	return s.aggregator.addresses.isNode(ip) && !slices.Contains(s.node.ips, string(ip))
}

// clientOf is the IP of who sent an entry's request: behind proxies that say so the client's, else that of the connection's other end.
// Only this reads downstream_remote_address.
func clientOf(raw []byte, e *entry) []byte {
	var client address
	if c := (cursor{b: raw}); c.next() && c.tag == 1<<3|length { // common_properties, which all encoders write first
		for c = (cursor{b: c.sub()}); c.next() && c.tag>>3 <= 2; {
			if c.tag == 2<<3|length && client.unmarshal(c.sub()) && validIP(client.ip) {
				return client.ip
			}
		}
	}
	if e.readRemote() && validIP(e.remote.ip) {
		return e.remote.ip
	}
	return nil
}

// validIP tells whether b can be an IP's text; what it is not, a client may have made up.
func validIP(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') && c != '.' && c != ':' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 45
}

// Entered returns what entered since it was called last, for each IDC with an open stream of its ingress or with a request, in order of their
// names. It is for one caller.
func (a *Aggregator) Entered() []Entered {
	a.mu.Lock()
	all := a.entered
	a.entered = nil
	streams := a.openStreams()
	a.mu.Unlock()
	for _, s := range streams {
		if s.ingress != nil {
			s.mu.Lock()
			all = s.takeIngress(all)
			s.mu.Unlock()
		}
	}
	entered := make([]Entered, 0, len(all))
	for _, idc := range slices.Sorted(maps.Keys(all)) {
		in := all[idc]
		in.Callers = busiest(in.Callers, maxEnteredCallers)
		entered = append(entered, *in)
	}
	return entered
}

// takeIngress adds what the stream has counted to its IDC's, and resets that. s.mu is held.
func (s *Stream) takeIngress(all map[string]*Entered) map[string]*Entered {
	if all == nil {
		all = map[string]*Entered{}
	}
	to, in := all[s.node.IDC], s.ingress
	if to == nil {
		to = &Entered{IDC: s.node.IDC, Flags: map[string]uint64{}, Callers: map[string]uint64{}}
		all[s.node.IDC] = to
	}
	to.Requests += in.requests
	to.Failures += in.failures
	for flags, n := range in.flags {
		for _, name := range flags.Names() {
			to.Flags[name] += n
		}
	}
	for i, n := range in.durations {
		to.Durations[i] += n
	}
	for i := range in.callers.slots {
		if c := in.callers.slots[i].value; c != nil && c.requests > 0 {
			to.Callers[c.address] += c.requests
			c.requests, c.inside = 0, s.inside([]byte(c.address)) // a node may have come since
		}
	}
	in.requests, in.failures, in.durations = 0, 0, [bucketCount]uint64{}
	clear(in.flags)
	if in.callers.used >= maxIngressCallers {
		in.callers.clear()
	}
	return all
}

// busiest keeps the most callers with the most requests.
func busiest(callers map[string]uint64, most int) map[string]uint64 {
	if len(callers) <= most {
		return callers
	}
	addresses := slices.SortedFunc(maps.Keys(callers), func(x, y string) int {
		return cmp.Or(cmp.Compare(callers[y], callers[x]), cmp.Compare(x, y))
	})
	kept := make(map[string]uint64, most)
	for _, address := range addresses[:most] {
		kept[address] = callers[address]
	}
	return kept
}
