package failover

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// after says what holds when the plan has ended.
func (p *Plan) after(now time.Time) string {
	if s := p.Shift(now); s.ID != "" {
		return percents(p.before()) + ", as " + s.ID + " asks"
	}
	return "base weights: " + percents(p.Base)
}

// warnings are what speaks against the plan now: IDCs that it gives more than before, and that are unhealthy.
func (p *Plan) warnings(verdicts map[string]Verdict) (told []string) {
	for _, idc := range slices.Sorted(maps.Keys(p.Base)) {
		gains := func(s Step) bool { return s.Weights[idc] > p.before()[idc] }
		for _, side := range p.sides() {
			subject := idcSubject(idc, string(side))
			v := verdicts[subject]
			if !v.bad() || !slices.ContainsFunc(p.Steps, gains) {
				continue
			}
			then := "it gets nothing before it is healthy again"
			if !p.Hard && (len(p.Steps) > 1 || p.AbortIf != nil) {
				then = "the shift ends as soon as it gives it traffic"
			}
			told = append(told, fmt.Sprintf("%s is %s: %s", subject, v.cause(""), then))
		}
	}
	return told
}

func (p *Plan) event(now time.Time, what, why string) Event {
	e := Event{At: now, Kind: "shift", Subject: p.ID, What: what, Why: why}
	if p.Active() {
		e.Expires = p.Expires
	}
	return e
}

// String says what the plan does, in one line.
func (p *Plan) String() string {
	var b strings.Builder
	for i, s := range p.Steps {
		if i > 0 {
			b.WriteString(", then ")
		}
		b.WriteString(percents(s.Weights))
		if s.For > 0 {
			fmt.Fprintf(&b, " for %s", s.For)
		}
	}
	return b.String()
}

// percents writes weights for people: "idc1 99 %, idc2 1 %".
func percents(weights map[string]uint32) string {
	var parts []string
	for _, idc := range slices.Sorted(maps.Keys(weights)) {
		parts = append(parts, idc+" "+percent(weights[idc]))
	}
	return strings.Join(parts, ", ")
}
