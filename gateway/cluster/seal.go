package cluster

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

const (
	wireVersion = 1 // the first byte of each packet and of each stream
	stampSize   = 8 // when it was sealed, in ms since 1970

	// packetOverhead is by how much a packet is longer than what it holds: version, nonce, time and tag.
	packetOverhead = 1 + 12 + stampSize + 16

	// freshFor is how far the clock of the sender may be from ours, to either side. What is older may be a replay.
	freshFor = 2 * time.Minute
)

// Why something from outside was refused, before any of it was looked at.
var (
	errGarbage = errors.New("is nothing that a gateway sends")
	errKey     = errors.New("none of the keys opens it")
	errStale   = errors.New("was here before, or was sealed more than two minutes from now by our clock")
)

// sealer encrypts and authenticates all that goes over the network, and opens what was sealed with any of its keys.
//
// The library's own encryption does not tell when a packet was made: whoever recorded one could send it again much later, such as word of
// a death. Each packet and each stream holds its time here, and is taken once.
type sealer struct {
	// AES-256-GCM with random nonces, the first for sealing. A mesh of 100 members that talk all the time makes some 10^11 packets a year:
	// two of them have the same nonce with a probability of 10^-7.
	aeads []cipher.AEAD
	once  once
}

// newSealer takes keys of any length; each one is stretched. Without any it takes one that everybody knows: packets are checked alike,
// and nothing is secret.
func newSealer(keys [][]byte) (*sealer, error) {
	if len(keys) == 0 {
		keys = [][]byte{[]byte("everybody knows this one")}
	}
	s := &sealer{}
	for _, key := range keys {
		stretched, err := hkdf.Key(sha256.New, key, nil, "lockkeeper gossip 1", 32)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(stretched)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		s.aeads = append(s.aeads, aead)
	}
	return s, nil
}

// seal appends the sealed text to dst. It opens only with the same about, which is not sent.
func (s *sealer) seal(dst, plain, about []byte) []byte {
	return s.aeads[0].Seal(dst, nil, plain, about)
}

func (s *sealer) open(sealed, about []byte) ([]byte, error) {
	for _, aead := range s.aeads {
		if plain, err := aead.Open(nil, nil, sealed, about); err == nil {
			return plain, nil
		}
	}
	return nil, errKey
}

// sealPacket seals a packet.
func (s *sealer) sealPacket(payload []byte, now time.Time) []byte {
	plain := append(stamp(now), payload...)
	return s.seal(append(make([]byte, 0, len(payload)+packetOverhead), wireVersion), plain, nil)
}

// openPacket opens a packet. The error is errGarbage, errKey or errStale.
func (s *sealer) openPacket(packet []byte, now time.Time) ([]byte, error) {
	if len(packet) < packetOverhead || packet[0] != wireVersion {
		return nil, errGarbage
	}
	plain, err := s.open(packet[1:], nil)
	if err != nil {
		return nil, err
	}
	if !fresh(plain, now) || !s.once.take([12]byte(packet[1:]), now) {
		return nil, errStale
	}
	return plain[stampSize:], nil
}

func stamp(now time.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli()))
}

// fresh tells whether what starts with a stamp was sealed now.
func fresh(plain []byte, now time.Time) bool {
	age := now.Sub(time.UnixMilli(int64(binary.BigEndian.Uint64(plain))))
	return -freshFor <= age && age <= freshFor
}

// once remembers what was taken for as long as it is fresh. Only what was sealed with a key gets here: who has none cannot make it grow.
type once struct {
	mu        sync.Mutex
	now, last map[[12]byte]struct{}
	since     time.Time // when the present generation began
}

// take tells whether the nonce was not there yet.
func (o *once) take(nonce [12]byte, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	// A stamp may be freshFor ahead, and is fresh for so long after.
	if age := now.Sub(o.since); o.now == nil || age >= 2*freshFor || age < 0 {
		o.last, o.now, o.since = o.now, map[[12]byte]struct{}{}, now
	}
	if _, there := o.now[nonce]; there {
		return false
	}
	if _, there := o.last[nonce]; there {
		return false
	}
	o.now[nonce] = struct{}{}
	return true
}
