package failover

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// abstaining are the sites whose word does not count now: who sees the entries of all IDCs down at once has lost its own network.
func (d *decider) abstaining(opinions []Opinion) map[string]bool {
	type count struct{ known, bad int }
	seen := map[string]count{}
	for i := range opinions {
		o := &opinions[i]
		if _, scope, ok := splitIDC(o.Subject); !ok || scope != "entry" {
			continue
		}
		c := seen[o.Site]
		if o.Health != Unknown {
			c.known++
		}
		if o.Health == Dead || o.Health == Gray {
			c.bad++
		}
		seen[o.Site] = c
	}
	var silent map[string]bool
	for _, site := range slices.Sorted(maps.Keys(seen)) {
		if c := seen[site]; c.known < 2 || c.bad < c.known {
			continue
		}
		if silent == nil {
			silent = map[string]bool{}
		}
		silent[site] = true
	}
	if len(silent) > 0 {
		d.allAbstain = len(silent) == len(seen)
		d.alarm("abstain", "sees the entries of all IDCs down at once, so its word does not count: "+siteNames(slices.Sorted(maps.Keys(silent))))
	}
	return silent
}

// siteNames are sites as people read them.
func siteNames(sites []string) string {
	names := slices.Clone(sites)
	for i, name := range names {
		if name == "" {
			names[i] = "this gateway"
		}
	}
	return strings.Join(names, ", ")
}

// judge makes one verdict of what the sites hold of a subject.
func (d *decider) judge(made *item, opinions []Opinion, silent map[string]bool) {
	made.kind, made.was = Kind(made.subject), d.was(made.subject)
	bad, good, failing := d.bad[:0], d.good[:0], d.failing[:0]
	defer func() { d.bad, d.good, d.failing = bad, good, failing }()
	dead := 0
	for i := range opinions {
		o := &opinions[i]
		made.IDC = o.IDC
		made.callers = max(made.callers, o.Callers)
		switch {
		case silent[o.Site] || o.Health == Unknown:
		case o.Health == Healthy:
			good = append(good, o)
		default:
			bad = append(bad, o)
			if !o.Answers {
				failing = append(failing, o)
			}
			if o.Health == Dead {
				dead++
			}
		}
	}
	watch := len(opinions)
	if tried := count(opinions, func(o *Opinion) bool { return o.Tried }); tried > 0 && dead == 0 {
		watch = tried
		good = slices.DeleteFunc(good, func(o *Opinion) bool { return !o.Tried })
	}
	need := d.quorum(made.kind, watch)
	switch {
	case len(bad) >= need && !d.alone(bad, made.IDC):
		made.Health = Gray
		if 2*dead >= len(bad) {
			made.Health = Dead
		}
		made.Since, made.Why = agreeing(bad, need), whys(bad)
		made.failing = len(failing) >= need && !d.alone(failing, made.IDC)
	case len(good) >= need:
		made.Health, made.Since = Healthy, agreeing(good, need)
	default:
		made.Since = d.in.Now
		made.Why = d.undecided(bad, good, need, silent[opinions[0].Site])
	}
	d.since(made)
	if made.kind == kindIDC && made.Health == Unknown && !d.allAbstain {
		d.lacksQuorum(made)
	}
	if len(bad) > 0 && len(good) > 0 {
		d.disagree(made, bad, good)
	}
}

func count(opinions []Opinion, which func(*Opinion) bool) (n int) {
	for i := range opinions {
		if which(&opinions[i]) {
			n++
		}
	}
	return n
}

// disagree raises the alarm when sites have been of another mind for some time.
func (d *decider) disagree(i *item, bad, good []*Opinion) {
	since := agreeing(bad, 1)
	if other := agreeing(good, 1); other.After(since) {
		since = other
	}
	if after := since.Add(disagreePatience); d.in.Now.Before(after) {
		d.wake(after)
		return
	}
	var sites []string
	for _, o := range good {
		sites = append(sites, o.Site)
	}
	d.alarm("disagree", i.subject+": healthy by "+siteNames(sites)+"; but "+told(bad))
}

// quorum is how many sites must agree: of an IDC the greater part of all sites, of others that of the sites which watch it.
func (d *decider) quorum(kind string, watch int) int {
	if kind == kindIDC && len(d.Sites) > 0 {
		watch = len(d.Sites)
	}
	return watch/2 + 1
}

// alone tells whether all who say so sit in one IDC, which is not the subject's own.
func (d *decider) alone(opinions []*Opinion, own string) bool {
	first := d.Sites[opinions[0].Site]
	return first != "" && first != own && !slices.ContainsFunc(opinions, func(o *Opinion) bool { return d.Sites[o.Site] != first })
}

func (d *decider) undecided(bad, good []*Opinion, need int, abstains bool) string {
	if len(bad)+len(good) == 0 {
		if abstains {
			return "who observes it abstains"
		}
		return silentWhy
	}
	if len(bad) >= need {
		return fmt.Sprintf("only seen from %s, which must not judge another IDC alone: %s", d.Sites[bad[0].Site], whys(bad))
	}
	return fmt.Sprintf("%d sites call it dead and %d healthy, %d must agree", len(bad), len(good), need)
}

// lacksQuorum raises the alarm when there has been no verdict on an IDC for some time.
func (d *decider) lacksQuorum(i *item) {
	after := i.Since.Add(quorumPatience)
	if d.in.Now.Before(after) {
		d.wake(after)
		return
	}
	d.alarm("quorum", i.subject+": "+i.Why+"; the last decision stands")
}

// agreeing is since when so many of them say so.
func agreeing(opinions []*Opinion, need int) time.Time {
	if len(opinions) == 1 {
		return opinions[0].Since
	}
	times := make([]time.Time, len(opinions))
	for i, o := range opinions {
		times[i] = o.Since
	}
	slices.SortFunc(times, time.Time.Compare)
	return times[need-1]
}

// was is what became of a subject before.
func (d *decider) was(subject string) Verdict {
	was := d.in.Before.Verdict[subject]
	if d.in.Agreed != nil { // nobody has forgotten over a restart what all remember
		agreed := d.in.Agreed[subject]
		was.Down, was.Out, was.Provisional = agreed.Down, agreed.Out || agreed.Down && d.Act[Kind(subject)], false
	}
	return was
}

// since goes on from what was held of it before.
func (d *decider) since(made *item) {
	agreed, known := d.in.Agreed[made.subject]
	switch {
	case known && made.Health != Unknown && made.Health == agreed.Health:
		made.Since, made.Why = agreed.Since, agreed.Why
	case known && made.Health != Unknown && agreed.Health != Unknown && d.lags(made.Since, agreed.Since):
		made.Health, made.Since, made.Why, made.failing = agreed.Health, agreed.Since, agreed.Why, false
	case known && made.Health != Unknown:
		if agreed.Since.After(made.Since) && !agreed.Since.After(d.in.Now) { // others have known better since
			made.Since = agreed.Since
		}
	case made.was.Health == made.Health && !made.was.Since.IsZero() && !made.was.Since.After(d.in.Now):
		made.Since = made.was.Since
		if made.Health != Unknown {
			made.Why = made.was.Why
		}
	}
}

// lags tells whether others have decided so short a time ago that what made them has not come here yet, and what is known here is older: a decision
// goes another way than the opinions that it is made of.
func (d *decider) lags(mine, agreed time.Time) bool {
	after := agreed.Add(hearsay)
	if !mine.Before(agreed) || !d.in.Now.Before(after) || agreed.After(d.in.Now) {
		return false
	}
	d.wake(after)
	return true
}

func whys(opinions []*Opinion) string {
	if len(opinions) == 1 {
		return opinions[0].Why
	}
	return told(opinions)
}

// told says who says what.
func told(opinions []*Opinion) string {
	var texts []string
	for _, o := range opinions {
		texts = append(texts, siteNames([]string{o.Site})+": "+o.Why)
	}
	return strings.Join(texts, "; ")
}
