package mesh

import "sync"

// maxAuthorities bounds the services that are known only by an authority, which any client can make up.
const maxAuthorities = 1000

// hosts are the destination services that are in use. A flood of made-up authorities takes up their bound, but hides no
// service that a cluster or a route names: such a host is one of the mesh, also as an authority.
type hosts struct {
	mu          sync.RWMutex
	named       map[string]struct{} // by a cluster, a route or a tag
	authorities map[string]struct{}
	max         int // of named
}

// name notes a service that the mesh itself names.
func (h *hosts) name(host string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.named) < h.max {
		h.named[host] = struct{}{}
		delete(h.authorities, host)
	}
}

// allowAuthority tells whether a service may be known by its authority alone.
func (h *hosts) allowAuthority(host string) bool {
	if allowed, full := h.known(host); allowed || full {
		return allowed
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.authorities[host]; !ok && len(h.authorities) >= maxAuthorities {
		return false
	}
	h.authorities[host] = struct{}{}
	return true
}

// known is the usual way, which streams can go at once.
func (h *hosts) known(host string) (known, full bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if _, ok := h.named[host]; ok {
		return true, false
	}
	_, ok := h.authorities[host]
	return ok, len(h.authorities) >= maxAuthorities
}

// keep forgets the hosts that are not in use.
func (h *hosts) keep(used map[string]struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, hosts := range [...]map[string]struct{}{h.named, h.authorities} {
		for host := range hosts {
			if _, ok := used[host]; !ok {
				delete(hosts, host)
			}
		}
	}
}

// count is how many services are known by their authority alone.
func (h *hosts) count() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.authorities)
}
