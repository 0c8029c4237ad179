package mesh

// table maps hashes, which are random and need not be hashed again, to values. The zero value is empty.
type table[V any] struct {
	slots []slot[V] // a power of two, half of them free at least
	used  int
}

type slot[V any] struct {
	hash  uint64 // 0: free
	value V
}

func (t *table[V]) get(hash uint64) (v V, ok bool) {
	mask := uint64(len(t.slots) - 1)
	for i := hash; len(t.slots) > 0; i++ {
		switch s := &t.slots[i&mask]; s.hash {
		case 0:
			return v, false
		case hash:
			return s.value, true
		}
	}
	return v, false
}

func (t *table[V]) clear() { *t = table[V]{} }

// put remembers a value; a table with limit values is emptied first.
func (t *table[V]) put(limit int, hash uint64, v V) {
	switch {
	case hash == 0:
		return
	case t.used >= limit:
		clear(t.slots)
		t.used = 0
	case 2*t.used >= len(t.slots):
		old := t.slots
		t.slots, t.used = make([]slot[V], max(16, 2*len(old))), 0
		for i := range old {
			t.put(limit, old[i].hash, old[i].value)
		}
	}
	mask := uint64(len(t.slots) - 1)
	i := hash & mask
	for t.slots[i].hash != 0 && t.slots[i].hash != hash {
		i = (i + 1) & mask
	}
	if t.slots[i].hash == 0 {
		t.used++
	}
	t.slots[i] = slot[V]{hash, v}
}
