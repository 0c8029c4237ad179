package mesh

// Observed is one final entry, as an Observer sees it. All of it is valid only during the call.
type Observed struct {
	Node   *Node
	Raw    []byte // HTTPAccessLogEntry, or TCPAccessLogEntry if TCP
	TCP    bool
	Failed bool // as Edge.Errors counts
	Flags  Flags
	key    *key
}

// Labels are the labels that the entry is counted under.
func (o *Observed) Labels() []Label { return o.key.labels() }

// Observer sees the entries that it wants, in the goroutine of their stream: it must be quick and must not block.
type Observer struct {
	Want func(failed bool) bool
	See  func(*Observed)
}

// Observe sets who sees entries from now on; nil: nobody.
func (a *Aggregator) Observe(o *Observer) { a.observer.Store(o) }

func (s *Stream) observe(o *Observer, raw []byte, k key, tcp bool) {
	if failed := k.failure(); o.Want(failed) {
		o.See(&Observed{Node: &s.node, Raw: raw, TCP: tcp, Failed: failed, Flags: k.flags, key: &k})
	}
}
