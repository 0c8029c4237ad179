package main

import (
	"maps"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	resend    = time.Minute      // a firing alert is sent again after
	remember  = 15 * time.Minute // a resolved one is sent again for, as Prometheus does
	inMessage = 500              // alerts in one message
)

// firing is an alert that fires.
type firing struct {
	labels      labels.Labels // external ones included
	annotations labels.Labels
	since       time.Time
	interval    time.Duration // of its evaluation
	query       string
	resolved    time.Time // not zero: it does not fire any more since
}

// book holds what the gateway was told, and finds what to tell it next. It compares what fires now with what was told, so that
// it makes no difference why an alert does not fire any more.
type book struct {
	told map[uint64]*entry // by the hash of labels
}

type entry struct {
	firing
	sent   time.Time
	before bool // only a process before this one has told of it
}

// update returns what is to be told, when alerts is all that fires and what has resolved. open tells of an alert that is
// not among them whether nobody can know yet: that goes on as it was.
func (b *book) update(now time.Time, alerts []firing, open func(labels.Labels) bool) (tell []firing) {
	seen := make(map[uint64]bool, len(alerts))
	for _, alert := range alerts {
		key := alert.labels.Hash()
		seen[key] = true
		known := b.told[key]
		switch {
		case known == nil && !alert.resolved.IsZero():
			continue // the gateway never knew it, or has been told for long enough
		case known == nil:
			known = &entry{}
			b.told[key] = known
		case known.before || known.resolved.IsZero() != alert.resolved.IsZero():
			known.sent, known.before = time.Time{}, false
		}
		known.firing = alert
		tell = known.tell(tell, now)
	}
	maps.DeleteFunc(b.told, func(key uint64, known *entry) bool {
		if seen[key] {
			return false
		}
		if known.resolved.IsZero() {
			if open(known.labels) {
				tell = known.tell(tell, now)
				return false
			}
			known.resolved, known.sent = now, time.Time{}
		}
		if now.Sub(known.resolved) > remember {
			return true
		}
		tell = known.tell(tell, now)
		return false
	})
	return tell
}

func (e *entry) tell(tell []firing, now time.Time) []firing {
	if now.Sub(e.sent) < resend {
		return tell
	}
	e.sent = now
	return append(tell, e.firing)
}

// remembered is an alert that the gateway was told of by a process before this one. If nobody knows until then whether it fires
// still, it is told again.
func (b *book) remembered(alert firing, until time.Time) {
	if key := alert.labels.Hash(); b.told[key] == nil {
		b.told[key] = &entry{firing: alert, sent: until.Add(-resend), before: true}
	}
}

// wire is the alert as the gateway gets it. It ends, if it is not sent again, when four sendings or evaluations were missed.
func (f *firing) wire(now time.Time, link func(query string) string) sdk.Alert {
	ends := f.resolved
	if ends.IsZero() {
		ends = now.Add(4 * max(f.interval, resend))
	}
	return sdk.Alert{
		Labels:       f.labels.Map(),
		Annotations:  f.annotations.Map(),
		StartsAt:     f.since,
		EndsAt:       ends,
		GeneratorURL: link(f.query),
	}
}
