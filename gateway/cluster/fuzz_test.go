package cluster

import (
	"bytes"
	"io"
	"testing"
	"time"
)

// What opens was sealed here, whatever comes.
func FuzzPacket(f *testing.F) {
	keyed, open := sealers(f, []string{"a"})[0], sealers(f, nil)[0]
	f.Add(keyed.sealPacket([]byte("payload"), time.Now()))
	f.Add(open.sealPacket(nil, time.Now()))
	f.Add([]byte{wireVersion})
	f.Fuzz(func(t *testing.T, packet []byte) {
		for _, s := range []*sealer{keyed, open} {
			if payload, err := s.openPacket(packet, time.Now()); err == nil && len(payload)+packetOverhead != len(packet) {
				t.Errorf("%d bytes became %d", len(packet), len(payload))
			}
		}
	})
}

// No stream makes more memory be taken than a record has, and none panics.
func FuzzStream(f *testing.F) {
	s := sealers(f, []string{"a"})[0]
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(append([]byte{wireVersion}, bytes.Repeat([]byte{255}, 100)...))
	f.Add(append([]byte{wireVersion}, make([]byte, 100)...))
	f.Fuzz(func(t *testing.T, sent []byte) {
		stream, err := acceptStream(recording{Reader: bytes.NewReader(sent)}, s, func(error) {}, time.Now)
		if err == nil {
			_, _ = io.ReadAll(stream)
			t.Error("it was accepted")
		}
	})
}

func FuzzMeta(f *testing.F) {
	f.Add(meta{Site: "berlin", Version: "1.2.3"}.encode())
	f.Add([]byte(`{"site":"berlin","version":"1","later":[1,2]}`))
	f.Add([]byte(`{"site":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		told, err := decodeMeta(b)
		if err != nil {
			return
		}
		if checkName(told.Site) != nil || len(told.encode()) > 512 {
			t.Errorf("%q became %+v", b, told)
		}
	})
}

func FuzzMessage(f *testing.F) {
	for _, data := range []string{"", "small", long(2000)} {
		encoded, err := message{part{"reg", []byte(data)}, "gateway-1"}.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded)
	}
	f.Add([]byte{wirePlain, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMessage(b)
		if err != nil {
			return
		}
		encoded, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeMessage(encoded)
		if err != nil || again.key != m.key || again.origin != m.origin || !bytes.Equal(again.data, m.data) {
			t.Errorf("%+v became %+v (%v)", m, again, err)
		}
	})
}

func FuzzStates(f *testing.F) {
	encoded, _, err := encodeStates([]part{{"sil", []byte("one")}, {"reg", []byte(long(2000))}}, maxSent)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encoded)
	f.Add([]byte{wirePlain, 3, 'r', 'e', 'g', 200, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		parts, err := decodeStates(b)
		if err != nil {
			return
		}
		encoded, fit, err := encodeStates(parts, maxSent)
		if err != nil || fit != len(parts) {
			t.Fatalf("%d of %d: %v", fit, len(parts), err)
		}
		if again, err := decodeStates(encoded); err != nil || len(again) != len(parts) {
			t.Errorf("%d parts became %d (%v)", len(parts), len(again), err)
		}
	})
}
