package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
)

// trouble is what keeps rules from being what their authors think they are. It is told as an alert.
type trouble struct {
	labels  labels.Labels // with alertname and severity
	summary string
	cure    string
	lasts   time.Duration // how long it must last until it is told
}

func newTrouble(name, severity, summary, cure string, lasts time.Duration, more ...string) trouble {
	return trouble{
		labels:  labels.FromStrings(append(more, labels.AlertName, name, "severity", severity)...),
		summary: summary, cure: cure, lasts: lasts,
	}
}

// troubles turns what is wrong into alerts, as the manager does with rules: what lasts becomes one.
type troubles struct {
	since map[uint64]time.Time
	fires map[uint64]string // alertname
}

// told tells whether it has become an alert.
func (t *troubles) told(one trouble) bool { return t.fires[one.labels.Hash()] != "" }

// firing returns the alerts of what is wrong now.
func (t *troubles) firing(now time.Time, wrong []trouble, external labels.Labels) (alerts []firing) {
	since, fires := map[uint64]time.Time{}, map[uint64]string{}
	for _, one := range wrong {
		key := one.labels.Hash()
		began, lasts := t.since[key]
		if !lasts {
			began = now
		}
		since[key] = began
		if now.Sub(began) < one.lasts {
			continue
		}
		name := one.labels.Get(labels.AlertName)
		if fires[key] = name; t.fires[key] == "" {
			warn("%s: %s", name, one.summary)
		}
		alerts = append(alerts, firing{
			labels: withExternal(one.labels, external), annotations: labels.FromStrings("summary", one.summary, "description", one.cure), since: began,
		})
	}
	for key, name := range t.fires {
		if fires[key] == "" {
			info("%s is over", name)
		}
	}
	t.since, t.fires = since, fires
	return alerts
}

// wrong is all that is wrong now. One cause is told once: while the storage is away, that it is.
func (e *evaluation) wrong(groups []*rules.Group) (wrong []trouble) {
	twice := 2 * e.settings.EvaluationInterval
	if err := e.plugin.fileTrouble(); err != nil {
		wrong = append(wrong, newTrouble("LockkeeperRuleFilesRefused", "ticket", "The rule files have mistakes: the rules of before are evaluated. "+err.Error(),
			"Correct the files: they are read again by themselves. promtool check rules finds the same.", twice))
	}
	if away := e.source.isAway(); away != nil {
		wrong = append(wrong, newTrouble("LockkeeperRulesNotEvaluated", "page", "No rule can be evaluated: "+away.Error(),
			"Alerts that fired go on, and no other one can fire, until the storage answers queries again.", twice))
	} else if err := cmp.Or(e.results.failing(), e.heartbeat.missing()); err != nil {
		wrong = append(wrong, newTrouble("LockkeeperRuleResultsLost", "ticket", "What rules find is not kept: "+err.Error(),
			"Recording rules have gaps, and how long an alert has been pending would not survive a restart of the plugin.", twice))
	}
	if e.source.doubtful() {
		e.failed = slices.DeleteFunc(e.failed, func(one trouble) bool { return !e.troubles.told(one) })
	} else {
		e.failed = e.failures(groups)
	}
	return slices.Concat(wrong, e.failed, e.missing.troubles())
}

// failures are the rules whose last evaluation failed. Results that are not taken are told apart.
func (e *evaluation) failures(groups []*rules.Group) (failed []trouble) {
	for _, group := range groups {
		for _, rule := range group.Rules() {
			if !notEvaluated(rule) {
				continue
			}
			failed = append(failed, newTrouble("LockkeeperRuleFailed", "ticket",
				fmt.Sprintf("The rule %q cannot be evaluated: %v", rule.Name(), rule.LastError()), "Try its query: "+rule.Query().String(),
				2*group.Interval(), "rule", rule.Name(), "group", group.Name(), "file", group.File()))
		}
	}
	return failed
}
