package failover

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/lockkeeper/lockkeeper/probes"
)

const (
	lookEvery = time.Second      // how often is decided at least
	floor     = time.Millisecond // how often at most, when nothing happens
	restFor   = 3                // times as long as a decision took is evidence collected before the next: a busy time must not keep a core busy
)

// loop owns everything that decisions are made of. Evidence, people's words and time come in, one after the other; each decision is
// put onto the board, and handed to the keeper.
type loop struct {
	rules   Rules
	log     *zap.Logger
	metrics *metrics

	inbox    *inbox
	places   *atomic.Pointer[places]
	commands chan command
	done     chan struct{} // closed when run has ended

	board   *board
	stories stories
	events  *events
	keeper  *keeper

	shared *sharing // nil: this gateway decides alone

	// The loop's own.
	judge    *Judge
	decision Decision
	holds    []Hold // replaced, never changed
	plan     *Plan
	share    *Share
	aborted  aborted   // the last plan, unless a person ended it
	rested   time.Time // before it evidence does not make a decision
	alarms   map[string]time.Time
	happened []Event // since the last decision was put onto the board
	dirty    bool    // something changed that must be kept
}

// command is something that a person asks for.
type command struct {
	do     func(now time.Time) error // in the loop
	change bool
	done   chan error
}

// ask changes something in the loop, decides, and returns what do returned. By then everybody can see what follows from it. In a dry run do changes
// nothing, and nothing is decided.
func (l *loop) ask(ctx context.Context, dry bool, do func(now time.Time) error) error {
	return l.send(ctx, command{do, !dry, make(chan error, 1)})
}

// look reads something of the loop's own.
func (l *loop) look(ctx context.Context, do func(now time.Time)) error {
	return l.send(ctx, command{func(now time.Time) error { do(now); return nil }, false, make(chan error, 1)})
}

func (l *loop) send(ctx context.Context, c command) error {
	select {
	case l.commands <- c:
	case <-l.done:
		return errStops
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-c.done // the loop ends no command without an answer
}

var errStops = errors.New("the gateway stops")

// run decides until ctx ends: at once when evidence or a person changes something, and whenever time does.
func (l *loop) run(ctx context.Context) {
	defer close(l.done)
	if l.shared != nil { // what others know must come first: else what they have out would come back for a moment
		l.shared.join(ctx)
		l.decide(time.Now())
		defer l.shared.members.WatchMembers(l.shared.wake)()
	}
	timer := time.NewTimer(l.wait(time.Now()))
	defer timer.Stop()
	var evidence []probes.Evidence
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.inbox.wake:
			evidence = l.inbox.take(evidence)
			if !l.observe(evidence) {
				continue
			}
			if now := time.Now(); now.Before(l.rested) {
				timer.Reset(l.rested.Sub(now))
				continue
			}
			l.decide(time.Now())
		case <-l.shared.news():
			if now := time.Now(); now.Before(l.rested) {
				timer.Reset(l.rested.Sub(now))
				continue
			}
			l.decide(time.Now())
		case c := <-l.commands:
			now := time.Now()
			err := c.do(l.shared.time().at(now))
			if !c.change || err != nil {
				c.done <- err
				continue // nor does it put off what time does
			}
			l.dirty = true
			l.decide(now)
			c.done <- nil
		case <-timer.C:
			l.decide(time.Now())
		}
		timer.Reset(l.wait(time.Now()))
	}
}

// observe tells whether there is something to decide.
func (l *loop) observe(evidence []probes.Evidence) (changed bool) {
	l.metrics.observed(evidence)
	l.place()
	for i := range evidence {
		e := &evidence[i]
		if l.judge.Observe(*e) {
			changed = true
		}
		if e.Traffic != nil {
			e.At = l.shared.time().at(e.At)
			l.share.Observe(*e)
			if l.plan.Active() {
				l.plan.Observe(*e)
			}
		}
	}
	return changed
}

// wait is how long nothing is to be done unless something happens.
func (l *loop) wait(own time.Time) time.Duration {
	now, wait := l.shared.time().at(own), lookEvery
	for _, at := range []time.Time{l.rules.Next(l.decision, l.holds), l.plan.Next()} {
		if !at.IsZero() {
			wait = min(wait, at.Sub(now))
		}
	}
	if at := l.judge.Next(); !at.IsZero() {
		wait = min(wait, at.Sub(own))
	}
	return max(wait, floor)
}

// decide makes a decision and lets everybody know: first those who act on it, then those who read about it.
func (l *loop) decide(own time.Time) {
	began := time.Now()
	l.mend(own)
	opinions, clusters := l.shared.exchange(l, own, l.judge.Opinions(own))
	now := l.shared.time().at(own)
	l.endHolds(now)
	shifting := l.plan.Active()
	l.note(l.plan.Step(now))
	in := l.shared.input(Input{Now: now, Opinions: opinions, Holds: l.holds, Shift: l.plan.Shift(now), Clusters: clusters, Before: l.decision}, own)
	before, after := l.decision, l.rules.Decide(in)
	if ended := l.plan.Heed(now, after.Verdict); len(ended) > 0 {
		l.note(ended)
		in.Shift = l.plan.Shift(now)
		after = l.rules.Decide(in)
	}
	l.shared.decided(l, own, in, after)
	switch {
	case l.plan.Active():
		l.aborted = aborted{}
	case shifting && l.plan.State == Aborted:
		l.aborted = aborted{id: l.plan.ID, why: l.plan.Note, at: l.plan.Ended}
	}
	l.decision = after
	l.alarm(now)
	l.board.put(&view{
		at: now, decision: after, opinions: opinions, holds: l.holds, asked: l.plan.Shift(now), active: l.plan.Shift(now).ID != "", alarms: l.alarms,
		aborted: l.aborted,
	})
	if before.Serving.Version > 0 { // else it begins
		l.note(Changes(before, after))
	}
	l.note(l.stories.tell(before, after, l.see, func(subjects []string) map[string][2]int { return l.judge.count(subjects, l.clusters()) }))
	l.events.add(l.happened)
	served := after.Serving.Version != before.Serving.Version
	if l.shared.unsaved() || l.dirty || served || len(l.happened) > 0 {
		l.keeper.keep(l.state(), l.happened)
	}
	l.dirty, l.happened = false, nil
	took := time.Since(began)
	l.rested = began.Add(took + restFor*took)
	l.metrics.decided(took, served)
}

// note remembers what happened. It is the keeper that writes the log, too: who reads that may be slow.
func (l *loop) note(happened []Event) { l.happened = append(l.happened, happened...) }

// endHolds drops holds whose time is over.
func (l *loop) endHolds(now time.Time) {
	over := func(h Hold) bool { return !h.Until.After(now) }
	if !slices.ContainsFunc(l.holds, over) {
		return
	}
	for _, h := range l.holds {
		if over(h) {
			l.note([]Event{{At: now, Kind: "hold", Subject: h.Subject, What: "ended by itself", Undoes: holdText(h)}})
		}
	}
	l.holds = slices.DeleteFunc(slices.Clone(l.holds), over)
}

// alarm remembers since when the alarms are.
func (l *loop) alarm(now time.Time) {
	if len(l.decision.Alarms) == 0 && len(l.alarms) == 0 {
		return
	}
	alarms := make(map[string]time.Time, len(l.decision.Alarms))
	for name := range l.decision.Alarms {
		since, known := l.alarms[name]
		if !known {
			since = now
		}
		alarms[name] = since
	}
	l.alarms = alarms
}

// planText is the plan as it is now: it goes on changing.
func (l *loop) planText() json.RawMessage { return l.text(l.plan) }

func (l *loop) text(plan *Plan) json.RawMessage {
	if plan == nil {
		return nil
	}
	text, err := json.Marshal(plan)
	if err != nil {
		l.log.Error("a shift plan cannot be written", zap.Error(err))
		return nil
	}
	return text
}

// state is what must outlive the gateway.
func (l *loop) state() *state {
	s := &state{Decision: l.decision, Holds: l.holds, Plan: l.planText()}
	if l.shared != nil {
		s.Shared, s.Clock = l.shared.state(), l.decision.At.UnixNano()
	}
	return s
}

// begin goes on from what the last gateway left, and decides for the first time, unless it must hear others before. past is nil when it left
// nothing, or, with a problem, nothing that could be read: a safe start, with nothing taken out.
func (l *loop) begin(past *state, problem error, now time.Time) {
	if problem != nil {
		l.note([]Event{{At: now, Kind: "state", What: "starts with nothing taken out, without holds and shifts", Why: problem.Error()}})
	}
	if past != nil {
		l.goOn(past, now)
		l.note(l.plan.Fit(now, l.rules))
	}
	told, _, _ := l.events.after(0)
	l.stories.resume(l.decision.Serving.Out, told)
	l.dirty = true
	if l.shared == nil {
		l.decide(now)
	}
}

// goOn takes up what is known of before.
func (l *loop) goOn(past *state, now time.Time) {
	l.decision, l.holds, l.plan = past.Decision, past.Holds, past.plan
	l.shared.resume(l, past, now)
}
