package mesh

import (
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/structpb"
)

// structFields encodes each field of a Struct on its own, to be put together in any order.
func structFields(tb testing.TB, pairs ...string) [][]byte {
	tb.Helper()
	var fields [][]byte
	for i := 0; i < len(pairs); i += 2 {
		fields = append(fields, marshal(tb, &structpb.Struct{Fields: map[string]*structpb.Value{pairs[i]: structpb.NewStringValue(pairs[i+1])}}))
	}
	return fields
}

func concat(fields ...[]byte) (b []byte) {
	for _, f := range fields {
		b = append(b, f...)
	}
	return b
}

func testStream() *Stream { return New(Options{}, time.Now()).Open(Node{ID: "test"}) }

func TestPeersFieldsInAnyOrderAreParsedOnce(t *testing.T) {
	s := testStream()
	fields := structFields(t, "workload", "a-v1", "app", "a", "version", "v1", "namespace", "default", "name", "a-v1-0")
	for range 50 {
		rand.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
		p, ok := s.peer(&side{state: concat(fields...), stateKind: stateStruct}, false)
		want := Peer{workload: "a-v1", app: "a", version: "v1", namespace: "default", canonicalService: "a", canonicalRevision: "v1"}
		if !ok || p.peer.Value() != want {
			t.Fatalf("got %v, %v, want %v", p.peer.Value(), ok, want)
		}
	}
	// the pods of one workload are one peer
	fields = append(structFields(t, "name", "a-v1-1"), structFields(t, "workload", "a-v1", "app", "a", "version", "v1", "namespace", "default")...)
	if _, ok := s.peer(&side{state: concat(fields...), stateKind: stateStruct}, false); !ok || s.raw.used != 1 {
		t.Errorf("%d peers remembered, want 1", s.raw.used)
	}
}

// Of a key that is there twice the last counts, as everywhere in protobuf: then the order does matter.
func TestRepeatedKeysAreNotRemembered(t *testing.T) {
	s := testStream()
	app := structFields(t, "app", "a", "app", "b")
	f := func(want string, fields ...[]byte) {
		t.Helper()
		if p, ok := s.peer(&side{state: concat(fields...), stateKind: stateStruct}, false); !ok || p.peer.Value()[workload] != "" || p.peer.Value()[appOf] != want {
			t.Errorf("got %v, %v, want app %q", p.peer.Value(), ok, want)
		}
	}
	f("b", app[0], app[1])
	f("a", app[1], app[0])
	f("a", app[0])
	f("a", app[0], app[0])
}

const appOf = app // where a variable has its name

// FuzzPeers holds that what is remembered of one side never changes what another one is read as.
func FuzzPeers(f *testing.F) {
	fields := structFields(f, "workload", "a-v1", "app", "a", "version", "v1", "name", "a-v1-0")
	f.Add(concat(fields...), concat(fields[3], fields[1], fields[0], fields[2]), byte(stateStruct))
	f.Add(concat(fields[1], fields[1]), concat(fields...), byte(stateString))
	// a field that claims to be the name, and is another one
	trick := protowire.AppendBytes([]byte{0x0a}, append([]byte("\x0a\x04name\x12\x03\x1a\x01x"), "\x0a\x03app"...))
	f.Add(trick, concat(fields[0], trick), byte(stateStruct))
	f.Add(marshal(f, &structpb.Value{}), []byte("\x0a\x0a\x0a\x04name\x12\x02;;"), byte(stateString))
	f.Fuzz(func(t *testing.T, first, second []byte, kind byte) {
		s := testStream()
		for _, own := range []bool{false, true} {
			for _, b := range [][]byte{first, second, concat(second, first), concat(first, second)} {
				for _, sd := range []*side{
					{state: b, stateKind: stateKind(kind % 3)},
					{meta: b},
					{state: first, stateKind: stateKind(kind % 3), meta: second},
					{tags: attributes{workload: first, app: second}, tagged: true},
				} {
					if sd.empty() {
						continue
					}
					want, _, wantOK := s.parsePeer(sd, own)
					if got, ok := s.peer(sd, own); ok != wantOK || ok && got.peer != want {
						t.Errorf("%q is remembered as %v, %v, and read as %v, %v", b, got, ok, want, wantOK)
					}
				}
			}
		}
	})
}

// FuzzField holds that every field is read as protobuf's own decoder reads it.
func FuzzField(f *testing.F) {
	f.Add(marshal(f, &structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewNumberValue(1)}}))
	f.Add([]byte{0x80, 0x80, 0x01, 0x01})
	f.Add([]byte{0x08, 0xff, 0xff, 0x01})
	f.Add([]byte{0xfa, 0x01, 0x80, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		for i := 0; i < len(b); {
			tag, v, next := field(b, i)
			number, kind, n := protowire.ConsumeField(b[i:])
			if kind == protowire.StartGroupType || number > protowire.MaxValidNumber {
				n = -1 // not read here
			}
			if next < 0 && n >= 0 {
				t.Fatalf("at %d of %x: malformed, want %d", i, b, n)
			}
			if n < 0 { // a varint of more than 64 bits is read here
				return
			}
			if next != i+n || tag != uint32(number)<<3|uint32(kind) {
				t.Fatalf("at %d of %x: tag %d, next %d, want %d, %d", i, b, tag, next, number<<3|protowire.Number(kind), i+n)
			}
			_, _, n = protowire.ConsumeTag(b[i:])
			switch kind {
			case protowire.VarintType:
				if want, _ := protowire.ConsumeVarint(b[i+n:]); v != want {
					t.Fatalf("at %d of %x: %d, want %d", i, b, v, want)
				}
			case protowire.BytesType:
				if want, _ := protowire.ConsumeBytes(b[i+n:]); string(b[v:next]) != string(want) {
					t.Fatalf("at %d of %x: %q, want %q", i, b, b[v:next], want)
				}
			}
			i = next
		}
	})
}
