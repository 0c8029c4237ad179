package dns

import "time"

// serialTick is the unit of the SOA serial. Half the numbers of a serial, within which RFC 1982 can tell what is newer, are 6.8 years of it.
const serialTick = 100 * time.Millisecond

// serials numbers the tables. A serial is the time of what is answered, in ticks: the later of Serving.Version, which is in milliseconds, and of
// the configuration's loading. So servers of a zone that follow the same Serving come to the same serial, and a serial does not go back
// over a restart. Where several changes fall into one tick it runs ahead by one for each.
type serials struct {
	loaded time.Time // when the zones were loaded
	last   uint32
	begun  bool // last was given out
}

// next is the serial of the table for a Serving of this version; 0: no Serving.
func (s *serials) next(version uint64) uint32 {
	ms := max(version, uint64(max(0, s.loaded.UnixMilli())))
	serial := uint32(ms / uint64(serialTick.Milliseconds()))
	if s.begun && !newer(serial, s.last) {
		serial = s.last + 1
	}
	s.last, s.begun = serial, true
	return serial
}

// newer tells whether serial a comes after b (RFC 1982).
func newer(a, b uint32) bool { return int32(a-b) > 0 }
