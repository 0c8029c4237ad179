package failover

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// opinionLasts is how long an opinion is remembered of a gateway that does not answer: it counts as one that watches and knows nothing, so that
// silence makes no quorum smaller.
const opinionLasts = 7 * 24 * time.Hour

// voices are the opinions of all sites.
type voices struct {
	said     map[string]Opinion  // by this gateway, as its judge has them
	clusters map[string][]string // that all know
	placed   uint64              // of the ledger's changes, when they were made
	rules    string
	sorted   []*entry          // opinions, as they were when all was made
	seen     uint64            // of the ledger's changes
	alive    map[string]string // when all was made
	all      []Opinion
}

// say tells the others this gateway's opinions, as far as they have changed.
func (v *voices) say(l *ledger, own time.Time, rules string, opinions []Opinion) {
	anew := l.echo || v.said == nil
	if anew {
		l.echo, v.said, v.rules = false, map[string]Opinion{}, ""
	}
	until := l.clock.at(own).Add(opinionLasts)
	for _, o := range opinions {
		o.Hold = time.Time{} // it moves with every probe, and decides nothing
		if said, ok := v.said[o.Subject]; ok && said == o {
			continue
		}
		v.said[o.Subject] = o
		o.Since = l.clock.at(o.Since)
		l.write(topicOpinion, l.self+"/"+o.Subject, 0, until, o, own)
	}
	if len(v.said) != len(opinions) || anew {
		v.unsay(l, own, opinions)
	}
	if v.rules != rules {
		v.rules = rules
		l.write(topicRules, l.self+"/rules", 0, until, rules, own)
	}
}

// unsay tells that nothing is known any more of what this gateway, or the process before it, has said something of.
func (v *voices) unsay(l *ledger, own time.Time, opinions []Opinion) {
	known := make(map[string]bool, len(opinions))
	for i := range opinions {
		known[opinions[i].Subject] = true
	}
	maps.DeleteFunc(v.said, func(subject string, _ Opinion) bool { return !known[subject] })
	now := l.clock.at(own)
	for key, e := range l.entries[topicOpinion] {
		member, subject := e.member()
		if member != l.self || known[subject] || !e.live(now) {
			continue
		}
		o := *e.value.(*Opinion)
		switch {
		case o.Health != Unknown:
			o = Opinion{Subject: o.Subject, IDC: o.IDC, Site: o.Site, Since: now, Why: silentWhy}
			l.write(topicOpinion, key, 0, now.Add(opinionLasts), o, own)
		case now.Sub(o.Since) >= forgetAfter:
			l.write(topicOpinion, key, 0, time.Time{}, nil, own)
		}
	}
}

// renew tells again what is about to be forgotten of this gateway.
func (v *voices) renew(l *ledger, own time.Time) {
	soon := l.clock.at(own).Add(opinionLasts / 2).UnixNano()
	for _, t := range []topic{topicOpinion, topicRules} {
		for _, e := range l.entries[t] {
			if member, _ := e.member(); member == l.self && e.value != nil && e.Until < soon {
				v.said = nil
				return
			}
		}
	}
}

// place tells the others which subjects serve the same, and gives what all know of that.
func (v *voices) place(l *ledger, own time.Time, clusters map[string][]string) map[string][]string {
	now, soon := l.clock.at(own), l.clock.at(own).Add(opinionLasts/2).UnixNano()
	for name, subjects := range clusters {
		e := l.entries[topicCluster][l.self+"/"+name]
		if !e.live(now) || e.Until < soon || !slices.Equal(*e.value.(*[]string), subjects) {
			l.write(topicCluster, l.self+"/"+name, 0, now.Add(opinionLasts), subjects, own)
		}
	}
	if v.clusters != nil && v.placed == l.changed[topicCluster] {
		return v.clusters
	}
	all := map[string][]string{}
	for key, e := range l.entries[topicCluster] {
		if !e.live(now) {
			continue
		}
		member, name := e.member()
		if _, known := clusters[name]; member == l.self && !known {
			l.write(topicCluster, key, 0, time.Time{}, nil, own)
			continue
		}
		all[name] = append(all[name], *e.value.(*[]string)...)
	}
	for name, subjects := range all {
		slices.Sort(subjects)
		all[name] = slices.Compact(subjects)
	}
	v.clusters, v.placed = all, l.changed[topicCluster]
	return all
}

// hear gives one opinion of each site and subject, in their order. Of a member that does not answer it is unknown.
func (v *voices) hear(l *ledger, own time.Time, alive map[string]string) []Opinion {
	if v.all != nil && v.seen == l.changed[topicOpinion] && maps.Equal(v.alive, alive) {
		return v.all
	}
	now := l.clock.at(own)
	all, subject := make([]Opinion, 0, len(l.entries[topicOpinion])), 0 // where the opinions of a subject begin
	for _, e := range v.sort(l.entries[topicOpinion]) {
		if !e.live(now) {
			continue
		}
		o := *e.value.(*Opinion)
		member, _ := e.member()
		if _, answers := alive[member]; !answers {
			o = Opinion{Subject: o.Subject, IDC: o.IDC, Site: o.Site, Since: o.Since, Tried: o.Tried, Why: member + " does not answer"}
		}
		if len(all) > subject && all[subject].Subject != o.Subject {
			subject = len(all)
		}
		at, found := slices.BinarySearchFunc(all[subject:], o.Site, func(o Opinion, site string) int { return strings.Compare(o.Site, site) })
		if found {
			all[subject+at] = oneVoice(all[subject+at], o)
		} else {
			all = slices.Insert(all, subject+at, o)
		}
	}
	v.all, v.seen, v.alive = all, l.changed[topicOpinion], maps.Clone(alive)
	return all
}

// sort gives the entries in order of subjects, and of members. Mostly there are those that there were, in the order that was found then.
func (v *voices) sort(entries map[string]*entry) []*entry {
	same := len(v.sorted) == len(entries)
	for i := 0; same && i < len(v.sorted); i++ {
		v.sorted[i], same = entries[v.sorted[i].Key]
	}
	if same {
		return v.sorted
	}
	v.sorted = slices.Collect(maps.Values(entries))
	slices.SortFunc(v.sorted, func(a, b *entry) int {
		memberA, subjectA := a.member()
		memberB, subjectB := b.member()
		return cmp.Or(strings.Compare(subjectA, subjectB), strings.Compare(memberA, memberB))
	})
	return v.sorted
}

// oneVoice is what a site holds whose members differ: who knows something counts more than who does not, who finds it healthy more than who
// does not, and dead is worse than gray.
func oneVoice(a, b Opinion) Opinion {
	worth := func(o Opinion) int {
		if o.Health == Healthy && !o.Tried && (a.Health == Gray || b.Health == Gray) {
			return 0
		}
		return map[Health]int{Unknown: 0, Gray: 1, Dead: 2, Healthy: 3}[o.Health]
	}
	one, other := a, b
	if worth(b) > worth(a) {
		one, other = b, a
	}
	if one.IDC == "" {
		one.IDC = other.IDC
	}
	one.Callers = max(a.Callers, b.Callers)
	one.Answers = one.Answers || other.Answers && other.Health == one.Health
	one.Vetoed = one.Vetoed || other.Vetoed && other.Health == one.Health
	return one
}
