package mesh

import "fmt"

// Drop says what became of the requests that are missing at a hop.
type Drop string

// The kinds of drops. A hop that only has less because the one before it has less is none.
const (
	DropNone      Drop = ""
	DropLost      Drop = "lost"      // the source sent them, and they did not arrive
	DropQuiet     Drop = "quiet"     // the source gets as many as it used to, and does not send its usual share of them on, here or elsewhere
	DropTelemetry Drop = "telemetry" // they may all be there: the Envoys that would tell do not
)

// What is a drop.
const (
	dropSeconds  = 60
	lostShare    = 0.1  // of what was sent
	lostRequests = 10   // a minute, at least
	quietShare   = 0.5  // of what is usual: below
	quietUsually = 60   // requests a minute that would be usual, at least: of fewer, half may be missing by chance
	riseShare    = 1.1  // of what is usual: below, it is chance
	deafShare    = 0.25 // of what an app's Envoys write: if so much is missing, nothing can be said
)

// inflow is what an app is asked for.
type inflow struct {
	rate    float64 // that arrives
	minutes pastHour
}

// deaf tells whether an app's Envoys cannot be heard well enough to say that its traffic is missing.
func (t Telemetry) deaf() bool { return t.Gone || t.Missing >= deafShare }

// refused is the share of a stage's requests that certainly did not get to a host. Where all Envoys of the destination are gone, failures are it:
// that app is dead, not only silent.
func (f *funnel) refused(s *stage) float64 {
	if s.rate == 0 {
		return 0
	}
	refused := s.unreached
	if f.of(s.to).Gone {
		refused = max(refused, s.errors)
	}
	return min(1, refused/s.rate)
}

// missed is the share of a stage's requests that did not arrive, as far as anybody knows.
func (f *funnel) missed(s *stage) float64 {
	missed := f.refused(s)
	if s.lossOf > 0 {
		missed = max(missed, s.lost/s.lossOf)
	}
	return missed
}

// judge says whether requests are missing at a stage that should be there by what its source is asked for.
func (f *funnel) judge(s *stage, all map[string]*funnel, h *Hop) {
	missed, refused := f.missed(s), f.refused(s)
	switch {
	case missed < lostShare || missed*s.rate*dropSeconds < lostRequests:
	case refused < lostShare && f.of(s.to).deaf():
		h.Drop = DropTelemetry
		h.Text = fmt.Sprintf("The Envoys of %s tell of %.0f%% less than %s sends, but their access logs do not all arrive: the requests may.", s.to, 100*missed, s.from)
		return
	default:
		h.Drop = DropLost
		h.Text = fmt.Sprintf("%s sends %.3g requests/s to %s, and %.0f%% of them do not arrive.", s.from, s.rate, s.to, 100*missed)
		return
	}
	usual, byShare, known := f.usually(s)
	expected := min(usual, byShare) // the source may also be asked more for what it never sent on
	if !known || expected*dropSeconds < quietUsually || s.rate >= quietShare*expected || s.rate+f.moved(s, all) >= quietShare*expected {
		return
	}
	h.Drop = DropQuiet
	h.Text = fmt.Sprintf("%s sends %.3g requests/s to %s, though by what it is asked for it should be %.3g.", s.from, s.rate, s.to, expected)
	teller := s.from
	if !s.bySource {
		teller = s.to
	}
	if f.of(teller).deaf() {
		h.Drop = DropTelemetry
		h.Text = fmt.Sprintf("The Envoys of %s tell of %.3g requests/s from %s to %s instead of %.3g, but their access logs do not all arrive.", teller, s.rate, s.from, s.to, expected)
	}
}

// usually is the rate that a stage usually has, and the one that it should have by what its source is asked for now. known is whether both are.
func (f *funnel) usually(s *stage) (usual, byShare float64, known bool) {
	minutes := s.minutes.latest(f.comparable)
	usual, known = minutes.median()
	in := f.inflows[s.from]
	if !known || in == nil {
		return usual, 0, false
	}
	share, known := minutes.shareOf(&in.minutes)
	return usual, share * in.rate, known
}

// moved is what goes another way than a stage's: by the same hop in other IDCs, when an app has failed over or come back, or from the same source to others, when
// it is asked for something else.
func (f *funnel) moved(s *stage, all map[string]*funnel) (rate float64) {
	for _, other := range all {
		if same := other.stages[[2]string{s.from, s.to}]; other != f && same != nil {
			rate += other.risen(same)
		}
	}
	for _, other := range f.out[s.from] {
		if other != s {
			rate += f.risen(other)
		}
	}
	return rate
}

// risen is how much more arrives by a stage than is usual, and than it should have by what its source is asked for.
func (f *funnel) risen(s *stage) float64 {
	usual, byShare, _ := f.usually(s)
	return max(0, s.rate*(1-f.missed(s))-riseShare*max(usual, byShare))
}

// judgeEntry judges what enters. That less comes in than usual is nobody's drop: it may be night, or the traffic may have been shifted away.
func (f *funnel) judgeEntry(s *stage, h *Hop) {
	usual, ok := s.minutes.median()
	if ok && usual*dropSeconds >= quietUsually && s.rate < quietShare*usual && f.of(s.to).deaf() {
		h.Drop = DropTelemetry
		h.Text = fmt.Sprintf("The Envoys of %s tell of %.3g requests/s instead of %.3g, but their access logs do not all arrive.", s.to, s.rate, usual)
	}
}
