package mesh

import (
	"crypto/rand"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
)

// odd spreads a hash before another is added to it.
const odd = 0x9e3779b97f4a7c15

// secret seeds the hashes of one gateway. It is random and never told: nobody outside can make two values collide, and two
// that are not made to do so collide about once in 2^64 times.
type secret struct {
	words [4]uint64
	long  maphash.Seed
}

func newSecret() (s secret) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	for i := range s.words {
		s.words[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	s.long = maphash.MakeSeed()
	return s
}

// hash takes the bytes two words at a time, as wyhash does, if they are few: then it is several times as fast as maphash.
func (s *secret) hash(b []byte) uint64 {
	if len(b) < 8 || len(b) > 32 {
		return maphash.Bytes(s.long, b)
	}
	return s.short(b)
}

// short hashes 8 to 32 bytes. The words overlap where there are less than 32, so that there is one path for all lengths.
func (s *secret) short(b []byte) uint64 {
	n := len(b)
	h1, l1 := bits.Mul64(word(b, 0)^s.words[0], word(b, min(8, n-8))^s.words[1])
	h2, l2 := bits.Mul64(word(b, max(n-16, 0))^s.words[2], word(b, n-8)^s.words[3]^uint64(n))
	return h1 ^ l1 ^ bits.RotateLeft64(h2^l2, 32)
}

func word(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }
