package dns

import "time"

// serialTick is the unit of the SOA serial. Half the numbers of a serial, within which RFC 1982 can tell what is newer, are 6.8 years of it.
const serialTick = 100 * time.Millisecond

// serials numbers the tables. A serial is the time of what is answered, in ticks: Serving.Version, which is in milliseconds, or, while nothing is
// served, that of the configuration's loading. It comes from the Serving alone, so that all servers of a zone that follow the same Serving have the
// same, whatever each of them has seen before, and does not go back over a restart. Changes within one tick share it: nobody copies the zone by it.
type serials struct {
	loaded time.Time // when the zones were loaded
	last   uint32
	begun  bool // last was given out
}

// next is the serial of the table for a Serving of this version; 0: no Serving.
func (s *serials) next(version uint64) uint32 {
	ms := version
	if ms == 0 {
		ms = uint64(max(0, s.loaded.UnixMilli()))
	}
	serial := uint32(ms / uint64(serialTick.Milliseconds()))
	if s.begun && newer(s.last, serial) {
		serial = s.last
	}
	s.last, s.begun = serial, true
	return serial
}

// newer tells whether serial a comes after b (RFC 1982).
func newer(a, b uint32) bool { return int32(a-b) > 0 }
