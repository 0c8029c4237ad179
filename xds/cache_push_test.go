package xds

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Streams that want the same of a change send the very same bytes, and one that wants less sends its resources' same bytes.
func TestStreamsShare(t *testing.T) {
	w := &wire{t: t, cache: NewCache()}
	w.set("eds a=1 b=1")
	server := NewServer(w.cache, Options{})
	var pieces [3][]byte
	var streams []*stream
	for _, names := range [][]string{{"a", "b"}, {"b", "a"}, {"b"}} {
		st := &stream{server: server, delta: true, wake: make(chan struct{}, 1)}
		w.cache.open(st)
		_, err := st.apply(&request{delta: true, hasNode: true, typeURL: AssignmentType, names: names}, true)
		require.NoError(t, err)
		require.Len(t, st.turn(), 1)
		streams = append(streams, st)
	}
	w.set("eds a=2 b=2")
	for i, st := range streams {
		responses := st.turn()
		require.Len(t, responses, 1)
		require.Empty(t, st.turn(), "nothing changed since")
		all := responses[0].pieces
		pieces[i] = all[len(all)-2].ReadOnlyData() // b, before the nonce
		if i == 1 {
			require.Len(t, w.cache.pushes[1].batches[AssignmentType].encoded, 1)
		}
	}
	b := w.cache.find(AssignmentType, "b").delta
	for _, p := range pieces {
		require.Same(t, &b[0], &p[0])
	}
	require.Len(t, w.cache.pushes[1].batches[AssignmentType].encoded, 2)
}
