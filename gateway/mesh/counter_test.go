package mesh

import (
	"testing"
	"time"
)

func TestSeriesThatEndsComesBackAsItWas(t *testing.T) {
	start := time.Unix(1700000000, 0)
	a := New(Options{}, start)
	s := a.Open(node(t, "sidecar~10.0.0.1~web-1.default~x"))
	defer s.Close()
	for i, after := range []time.Duration{time.Minute, 20 * time.Minute} { // the second comes after the end was decided, before it was told
		if err := s.Add(message(t, request(nil))); err != nil {
			t.Fatal(err)
		}
		flush(t, a, start.Add(after))
		if got := flush(t, a, start.Add(after+16*time.Minute)); i == 0 && (len(got) != 1 || got[0].Ended) {
			t.Errorf("got %+v, want a series that is due", got)
		}
	}
	got := flush(t, a, start.Add(40*time.Minute))
	if len(got) != 1 || !got[0].Ended || got[0].Requests != 2 || !got[0].Start.Equal(start) {
		t.Errorf("got %+v, want the end of one series with two requests", got)
	}
}
