package stats

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protowire"
)

// shape is what the series of one stat have in common on all nodes: name, type and labels.
type shape struct {
	raw    string // as it came: name, type and encoded labels
	series *identity
	why    reason
	role   role
	used   atomic.Int64 // when it was last looked up, in seconds since the Sink began
}

// identity is a series of the output without the labels that say which node. Stats of different spellings may share one.
type identity struct {
	name   string
	kind   int32
	hidden bool    // only read, not handed on
	labels []label // sorted by name
	weight int     // estimated bytes of a point

	histogram *identity                 // of a summary: the histogram of the same stat
	shared    atomic.Pointer[[]float64] // bounds or quantiles, of the node that was read last
}

type label struct{ name, value string }

// role is what a stat is needed for, besides being handed on.
type role uint8

const (
	roleNone role = iota
	roleWritten
	roleFlushed
	roleUptime
)

// shapes are all shapes by their raw text, and the identities that they have.
type shapes struct {
	keep  func(string) bool
	istio bool
	tags  func() []tag // compiled when first needed
	max   int

	mu         sync.RWMutex
	byRaw      map[string]*shape
	identities map[string]*identity
}

func (s *shapes) init(o Options) {
	s.keep, s.istio, s.tags, s.max = o.Keep, o.Istio, sync.OnceValue(defaultTags), 2*o.MaxTotal
	s.byRaw, s.identities = map[string]*shape{}, map[string]*identity{}
}

// appendRaw writes the text by which a stat is looked up.
func appendRaw(to []byte, name []byte, kind int32, labels [][]byte) []byte {
	to = append(append(to, name...), 0, byte(kind))
	for _, l := range labels {
		to = append(protowire.AppendVarint(to, uint64(len(l))), l...)
	}
	return to
}

// of returns the shape of a stat; raw is its appendRaw.
func (s *shapes) of(raw, name []byte, kind int32, labels [][]byte, now int64) *shape {
	s.mu.RLock()
	found := s.byRaw[string(raw)]
	s.mu.RUnlock()
	if found == nil {
		found = s.make(string(raw), string(name), kind, labels)
	}
	if found.used.Load() != now {
		found.used.Store(now)
	}
	return found
}

func (s *shapes) make(raw, name string, kind int32, encoded [][]byte) *shape {
	made := &shape{raw: raw}
	tags, ok := readLabels(encoded)
	if !ok {
		made.why = malformed
		return made
	}
	if len(tags) == 0 {
		name, tags = extract(s.tags(), name)
	}
	switch name {
	case "access_logs.grpc_access_log.logs_written":
		made.role = roleWritten
	case "access_logs.grpc_access_log.grpc_entries_flushed":
		made.role = roleFlushed
	case "server.uptime":
		made.role = roleUptime
	}
	i := &identity{kind: kind, labels: outputLabels(tags)}
	i.name, ok = outputName(name)
	switch {
	case !ok:
		made.why = malformed
	case kind < typeCounter || kind > typeHistogram:
		made.why = unsupported
	case !s.istio && strings.HasPrefix(i.name, "istio_"):
		made.why = istio
	case s.keep != nil && !s.keep(name):
		made.why = excluded
		i.hidden = made.role != roleNone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.byRaw[raw]; other != nil {
		return other
	}
	if len(s.byRaw) >= s.max {
		made.why = overflow
		return made
	}
	if made.why == kept || i.hidden {
		if kind == typeSummary {
			i.histogram = s.identity(&identity{name: i.name, kind: typeHistogram, labels: i.labels})
		}
		made.series = s.identity(i)
		made.why = kept
	}
	s.byRaw[raw] = made
	return made
}

// readLabels reads LabelPairs.
func readLabels(encoded [][]byte) (labels []label, ok bool) {
	for _, b := range encoded {
		var l label
		ok := walk(b, func(number protowire.Number, kind protowire.Type, _ uint64, content []byte) bool {
			switch {
			case number == 1 && kind == protowire.BytesType:
				l.name = string(content)
			case number == 2 && kind == protowire.BytesType:
				l.value = string(content)
			}
			return true
		})
		if !ok {
			return nil, false
		}
		labels = append(labels, l)
	}
	return labels, true
}

// identity returns the one that i equals. s.mu is held.
func (s *shapes) identity(i *identity) *identity {
	key := i.key()
	if known := s.identities[key]; known != nil {
		return known
	}
	i.weight = 64 + len(i.name)
	for _, l := range i.labels {
		i.weight += len(l.name) + len(l.value) + 10
	}
	s.identities[key] = i
	return i
}

func (i *identity) key() string {
	var b strings.Builder
	b.WriteString(i.name)
	b.WriteByte(byte('0' + i.kind))
	if i.hidden {
		b.WriteByte('h')
	}
	for _, l := range i.labels {
		b.WriteByte(0)
		b.WriteString(l.name)
		b.WriteByte(0)
		b.WriteString(l.value)
	}
	return b.String()
}

// forget drops the shapes that were not used since then, in seconds since the Sink began, and the identities without one.
func (s *shapes) forget(since int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	identities := make(map[string]*identity, len(s.identities))
	for raw, shape := range s.byRaw {
		if shape.used.Load() < since {
			delete(s.byRaw, raw)
		} else if shape.series != nil {
			identities[shape.series.key()] = shape.series
			if h := shape.series.histogram; h != nil {
				identities[h.key()] = h
			}
		}
	}
	s.identities = identities
}

// outputLabels are the labels that tags become, sorted by name; of tags that become the same name the first counts.
func outputLabels(tags []label) []label {
	labels := make([]label, 0, len(tags))
	for _, t := range tags {
		name := sanitized(t.name)
		switch name {
		case "node", "app", "version", "idc", "gateway", "le", "quantile":
			name = "exported_" + name
		case "":
			continue
		}
		if t.value != "" && !slices.ContainsFunc(labels, func(l label) bool { return l.name == name }) {
			labels = append(labels, label{name, strings.ToValidUTF8(t.value, "\uFFFD")})
		}
	}
	slices.SortFunc(labels, func(a, b label) int { return strings.Compare(a.name, b.name) })
	return labels
}

// outputName is the name that Envoy's Prometheus endpoint gives to a stat; false: it has none.
func outputName(name string) (string, bool) {
	if name == "" {
		return "", false
	}
	for _, namespace := range [...]string{"istiocustom.", "wasmcustom.", "dynamicmodulescustom."} {
		if own, ok := strings.CutPrefix(name, namespace); ok {
			return sanitized(own), own != "" && (own[0] < '0' || own[0] > '9')
		}
	}
	if strings.HasPrefix(name, "istio_") {
		return sanitized(name), true
	}
	return "envoy_" + sanitized(name), true
}

// sanitized replaces what a Prometheus name cannot have.
func sanitized(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z' {
			return r
		}
		return '_'
	}, name)
}
