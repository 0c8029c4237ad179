package mesh

import (
	"bytes"
	"math/bits"
	"slices"
	"strings"
)

// Flags is the set of an entry's response flags: bit n is field n of Envoy's ResponseFlags message. The bits flagDropShare
// and flagDropOverload stand for DO and UDO, which Envoy 1.40 writes only into response_code_details.
type Flags uint64

const (
	flagNoHealthy    = 2
	flagNoConnection = 6
	flagOverflow     = 8
	flagNoRoute      = 9
	flagNoCluster    = 25
	flagOverload     = 26
	flagNoAddress    = 27
	flagUnauthorized = 13
	flagDelay        = 10
	flagFromCache    = 21
	maxFlagField     = 28
	flagDropShare    = 62
	flagDropOverload = 63
)

// Names returns the short names in alphabetical order; nil for the empty set.
func (f Flags) Names() []string {
	var names []string
	for ; f != 0; f &= f - 1 {
		names = append(names, flagName(bits.TrailingZeros64(uint64(f))))
	}
	slices.Sort(names)
	return names
}

// String is the value of the response_flags label: the names sorted and comma-joined, "-" for the empty set.
func (f Flags) String() string {
	if f == 0 {
		return "-"
	}
	return strings.Join(f.Names(), ",")
}

// failure tells whether the set speaks of a failed request: all flags do but an injected delay and a cached response.
func (f Flags) failure() bool { return f&^(1<<flagDelay|1<<flagFromCache) != 0 }

// unreached tells whether the set speaks of a request that got to no host: all of UH, UF, UO, NR, NC, OM, DF, DO and UDO do.
func (f Flags) unreached() bool {
	return f&(1<<flagNoHealthy|1<<flagNoConnection|1<<flagOverflow|1<<flagNoRoute|1<<flagNoCluster|1<<flagOverload|1<<flagNoAddress|
		1<<flagDropShare|1<<flagDropOverload) != 0
}

// walkFlags adds the flags of one ResponseFlags message to f. As in protobuf, a later false takes an earlier true back.
func (f *Flags) walkFlags(b []byte) bool {
	c := cursor{b: b}
	for c.next() {
		field := c.tag >> 3
		switch {
		case field > maxFlagField:
		case c.tag == flagUnauthorized<<3|length:
			*f |= 1 << flagUnauthorized
		case c.tag&7 == varint && field != flagUnauthorized:
			*f &^= 1 << field
			if c.val != 0 {
				*f |= 1 << field
			}
		}
	}
	return !c.bad
}

// addDetails adds the flags that only response_code_details tells.
func (f *Flags) addDetails(details []byte) {
	if len(details) == 0 {
		return
	}
	switch {
	case details[0] == 'u' && bytes.HasPrefix(details, []byte("unconditional_drop_overload")):
		*f |= 1 << flagDropOverload
	case details[0] == 'd' && bytes.HasPrefix(details, []byte("drop_overload")):
		*f |= 1 << flagDropShare
	}
}
