package mesh

import "bytes"

// Unknown is the value of a label that could not be told, as in Istio's metrics.
const Unknown = "unknown"

// The attributes of a workload, in the order of the label names (see Series.Labels).
const (
	workload = iota
	namespace
	principal
	app
	version
	canonicalService
	canonicalRevision
	clusterID
	attributeCount
)

// attributes are the raw attributes of one side of a request; nil or empty where nothing is known.
type attributes [attributeCount][]byte

// Peer is a workload as labels name it. Empty attributes are unknown.
type Peer [attributeCount]string

func (p Peer) known() bool { return p[workload] != "" || p[app] != "" || p[canonicalService] != "" }

// tagAttribute maps the part of a custom tag behind source_ or destination_ to an attribute, or to -1.
func tagAttribute(name []byte) int {
	switch string(name) {
	case "workload":
		return workload
	case "workload_namespace":
		return namespace
	case "principal":
		return principal
	case "app":
		return app
	case "version":
		return version
	case "canonical_service":
		return canonicalService
	case "canonical_revision":
		return canonicalRevision
	case "cluster":
		return clusterID
	}
	return -1
}

// structAttribute maps a field of Istio's peer Struct to an attribute, or to -1.
func structAttribute(name []byte) int {
	switch string(name) {
	case "workload":
		return workload
	case "namespace":
		return namespace
	case "identity":
		return principal
	case "app":
		return app
	case "version":
		return version
	case "service":
		return canonicalService
	case "revision":
		return canonicalRevision
	case "cluster":
		return clusterID
	}
	return -1
}

// set fills attribute i if nothing stronger has done so. Envoy's tags write the unknown as "unknown" or "-".
func (a *attributes) set(i int, value []byte) {
	if len(a[i]) == 0 && len(value) > 0 && string(value) != Unknown && string(value) != "-" {
		a[i] = value
	}
}

// addStruct fills attributes from a google.protobuf.Struct. Fields of a wrong type count as absent. once tells that no attribute
// was there twice, of which the last counts.
func (a *attributes) addStruct(b []byte) (once, ok bool) {
	var found attributes
	var seen [attributeCount]bool
	once = true
	c := cursor{b: b}
	for c.next() {
		if c.tag != 1<<3|length {
			continue
		}
		key, value, ok := mapEntry(c.sub())
		if !ok {
			return false, false
		}
		i := structAttribute(key)
		if i < 0 {
			continue
		}
		v, ok := parseValue(value)
		if !ok {
			return false, false
		}
		once, seen[i] = once && !seen[i], true
		if found[i] = nil; v.kind == valueString {
			found[i] = v.bytes
		}
	}
	for i, v := range found {
		a.set(i, v)
	}
	return once, !c.bad
}

// addString fills attributes from a google.protobuf.StringValue. once tells that it has one text.
func (a *attributes) addString(b []byte) (once, ok bool) {
	c := cursor{b: b}
	var text []byte
	once = true
	for c.next() {
		if c.tag == 1<<3|length {
			once, text = text == nil, c.sub()
		}
	}
	a.addEndpoint(text)
	return once, !c.bad
}

// addEndpoint fills attributes from Istio's endpoint metadata "workload;namespace;name;revision;cluster".
func (a *attributes) addEndpoint(text []byte) {
	for _, i := range [...]int{workload, namespace, canonicalService, canonicalRevision, clusterID} {
		var part []byte
		part, text, _ = bytes.Cut(text, []byte(";"))
		a.set(i, part)
	}
}

// add fills attributes from everything the entry says of a side. once is addStruct's.
func (a *attributes) add(s *side) (once, ok bool) {
	once, ok = true, true
	switch s.stateKind {
	case stateStruct:
		once, ok = a.addStruct(s.state)
	case stateString:
		once, ok = a.addString(s.state)
	}
	if len(s.meta) > 0 {
		metaOnce, metaOK := a.addStruct(s.meta)
		once, ok = once && metaOnce, ok && metaOK
	}
	if !s.tagged {
		return once, ok
	}
	var endpoint []byte // a tag workload that was taken from endpoint metadata as it is
	for i, v := range s.tags {
		if i == workload && bytes.IndexByte(v, ';') >= 0 {
			endpoint = v
			continue
		}
		a.set(i, v)
	}
	a.addEndpoint(endpoint)
	return once, ok
}

// newPeer copies attributes; ok is false when one cannot be a label.
func newPeer(a *attributes) (p Peer, ok bool) {
	for i, v := range a {
		p[i] = string(v)
		if !validLabel(p[i]) {
			return Peer{}, false
		}
	}
	return p.complete(), true
}

// complete lets app and canonical service, version and canonical revision stand in for one another: Istio derives the
// canonical ones from the labels app and version, and its short forms carry only one of the two.
func (p Peer) complete() Peer {
	for _, pair := range [...][2]int{{app, canonicalService}, {version, canonicalRevision}} {
		if p[pair[0]] == "" {
			p[pair[0]] = p[pair[1]]
		} else if p[pair[1]] == "" {
			p[pair[1]] = p[pair[0]]
		}
	}
	return p
}
