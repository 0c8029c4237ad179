package mesh

import "testing"

func TestTable(t *testing.T) {
	var table table[int]
	if _, ok := table.get(1); ok {
		t.Error("an empty table knows something")
	}
	const limit = 1000
	for i := 1; i <= limit; i++ {
		hash := uint64(i) << (i % 40) // many of one slot
		table.put(limit, hash, i)
		table.put(limit, 0, i)
		if v, ok := table.get(hash); !ok || v != i {
			t.Fatalf("got %v, %v, want %v", v, ok, i)
		}
		if _, ok := table.get(0); ok {
			t.Fatal("0 is remembered")
		}
	}
	before := table.used
	table.put(limit, 1<<1, -1) // as i was 1
	if v, _ := table.get(1 << 1); v != -1 || table.used != before && before != limit {
		t.Errorf("got %v, %v used, want -1, %v used", v, table.used, before)
	}
	for i := range 2 * limit {
		table.put(limit, uint64(i+1)<<41, i)
	}
	if table.used > limit || len(table.slots) > 4*limit {
		t.Errorf("%d of %d slots are used, want at most %d", table.used, len(table.slots), limit)
	}
}

// Two keys of one hash are counted in parts, and bounded.
func TestCountsOfEqualHashes(t *testing.T) {
	s := testStream()
	first := key{
		source: s.own, destination: s.own, sourcePrincipal: s.unknown.principal, destinationPrincipal: s.unknown.principal,
		service: s.aggregator.unknownService, idc: s.idc, far: s.idc, code: 200,
	}
	second := first
	second.code = 500
	const n = maxStreamSeries
	for range n {
		s.countsOf(&first, 7).requests++
		s.countsOf(&second, 7).requests += 2
		if len(s.dirty) > maxStreamSeries {
			t.Fatalf("%d counts wait to be merged", len(s.dirty))
		}
	}
	s.merge()
	got := map[uint32]uint64{}
	for _, series := range s.aggregator.series {
		got[series.key.code] += series.Requests
	}
	if got[200] != n || got[500] != 2*n {
		t.Errorf("got %v, want %d and %d", got, n, 2*n)
	}
}
