package cluster

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// recordSize is how much of a stream is sealed at once.
const recordSize = 64 << 10

// stream is a TCP connection of which each record is sealed: its length in four bytes, and the sealed text. The one who dials sends a version
// and an id before the first record, which begins with a stamp. Each record is bound to the id, its direction and its number, so that none
// can be taken from another stream, moved, or come again.
type stream struct {
	net.Conn
	sealer *sealer
	refuse func(reason error)
	from   *bufio.Reader
	id     [12]byte
	dialed bool

	wrote, read uint64 // records
	rest        []byte // of the record that was read last
}

// dialStream is a stream over a connection that was dialed from here.
func dialStream(conn net.Conn, sealer *sealer, refuse func(error)) (*stream, error) {
	s := &stream{Conn: conn, sealer: sealer, refuse: refuse, from: bufio.NewReader(conn), dialed: true}
	_, err := rand.Read(s.id[:])
	return s, err
}

// acceptStream waits for the first record of whoever dialed. The error is errGarbage, errKey or errStale where it is not the network's.
func acceptStream(conn net.Conn, sealer *sealer, refuse func(error), now func() time.Time) (*stream, error) {
	s := &stream{Conn: conn, sealer: sealer, refuse: refuse, from: bufio.NewReader(conn)}
	var preamble [1 + len(s.id)]byte
	if _, err := io.ReadFull(s.from, preamble[:1]); err != nil {
		return nil, err
	}
	if preamble[0] != wireVersion {
		return nil, errGarbage
	}
	if _, err := io.ReadFull(s.from, preamble[1:]); err != nil {
		return nil, err
	}
	s.id = [12]byte(preamble[1:])
	plain, err := s.next()
	if err != nil {
		return nil, err
	}
	if len(plain) < stampSize {
		return nil, errGarbage
	}
	if at := now(); !fresh(plain, at) || !s.sealer.once.take(s.id, at) {
		return nil, errStale
	}
	s.rest = plain[stampSize:]
	return s, nil
}

// Write implements net.Conn.
func (s *stream) Write(b []byte) (int, error) {
	var out []byte
	n := len(b)
	if s.dialed && s.wrote == 0 {
		out = append(append(out, wireVersion), s.id[:]...)
		b = append(stamp(time.Now()), b...)
	}
	for len(b) > 0 {
		part := b[:min(len(b), recordSize)]
		b = b[len(part):]
		at := len(out)
		out = s.sealer.seal(append(out, 0, 0, 0, 0), part, s.about(s.dialed, s.wrote))
		binary.BigEndian.PutUint32(out[at:], uint32(len(out)-at-4))
		s.wrote++
	}
	if _, err := s.Conn.Write(out); err != nil {
		return 0, err
	}
	return n, nil
}

// Read implements net.Conn.
func (s *stream) Read(b []byte) (int, error) {
	for len(s.rest) == 0 {
		var err error
		if s.rest, err = s.next(); err != nil {
			if errors.Is(err, errKey) || errors.Is(err, errGarbage) {
				s.refuse(err)
			}
			return 0, err
		}
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// next reads a record.
func (s *stream) next() ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(s.from, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n < packetOverhead-1-stampSize || n > recordSize+packetOverhead {
		return nil, errGarbage
	}
	sealed := make([]byte, n)
	if _, err := io.ReadFull(s.from, sealed); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("record %d: %w", s.read, err)
	}
	plain, err := s.sealer.open(sealed, s.about(!s.dialed, s.read))
	s.read++
	return plain, err
}

// about is what a record is bound to.
func (s *stream) about(byDialer bool, number uint64) []byte {
	about := append([]byte("stream"), s.id[:]...)
	if byDialer {
		about = append(about, 1)
	}
	return binary.BigEndian.AppendUint64(about, number)
}
