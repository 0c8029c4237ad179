package mesh

// What of a counted entry could not be told, in the order of Stats.Unknown; UnknownNames names them.
const (
	unknownReporter = iota
	unknownSource
	unknownDestination
	unknownService
	unknownIDC
	unknownPeerForm
	unknownCount
)

// UnknownNames are the names of the indices of Stats.Unknown. peer_form is a peer that is told in a form that is not read, such as
// the FlatBuffers of Istio before 1.24.
func UnknownNames() [unknownCount]string {
	return [...]string{"reporter", "source", "destination", "service", "idc", "peer_form"}
}

func (s *Stream) countUnknown(k *key, e *entry) {
	for i, unknown := range [unknownCount]bool{
		unknownReporter:    k.reporter == reporterUnknown,
		unknownSource:      !e.source.party.known,
		unknownDestination: !e.destination.party.known,
		unknownService:     k.service == s.aggregator.unknownService,
		unknownIDC:         s.idc == s.unknown.principal,
		unknownPeerForm:    e.unread || e.source.unread() || e.destination.unread(),
	} {
		if unknown {
			s.stats.Unknown[i]++
		}
	}
}

// unread tells whether a side's filter state has a form that is not read.
func (s *side) unread() bool { return s.stateKind == stateOther && len(s.state) > 0 }

// wasmPeer tells whether a filter state object is a peer as Istio before 1.24 had it. Its id has another object.
func wasmPeer(key []byte) bool {
	return string(key) == "wasm.upstream_peer" || string(key) == "wasm.downstream_peer"
}
