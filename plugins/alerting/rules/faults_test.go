package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const twoRules = `
groups:
  - name: g
    rules:
      - {alert: Good, expr: good}
      - {alert: Bad, expr: bad}
      - {record: made, expr: good}
`

func TestRuleFails(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.names = []string{"good", "bad"}
	f.refuses = "bad"
	p, g := f.evaluated(t, twoRules)
	failed := "LockkeeperRuleFailed{file=" + p.settings.Files[0] + ",group=g,rule=Bad,severity=ticket}"
	g.fires(failed)
	if got, want := g.knows(failed).GetAnnotations()["summary"], `The rule "Bad" cannot be evaluated: the storage refuses the query: 422: too many series`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	g.fires("Good{}")
	if err := p.health(t.Context()); err != nil {
		t.Error(err)
	}
	f.metric(t, "prometheus_rule_evaluation_failures_total", 2)
	f.set(func() { f.refuses = "" })
	g.over(failed)
	g.fires("Bad{}")
	g.only("Good", "Bad", failed)
}

// A query that hangs is the rule's own trouble while others are answered.
func TestRuleHangs(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.names = []string{"good", "bad"}
	f.hangs = "bad"
	p, g := f.evaluated(t, twoRules)
	failed := "LockkeeperRuleFailed{file=" + p.settings.Files[0] + ",group=g,rule=Bad,severity=ticket}"
	g.fires(failed)
	g.only("Good", failed)
}

// When all of them hang it is the storage.
func TestStorageHangs(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.names = []string{"good", "bad"}
	p, g := f.evaluated(t, twoRules)
	g.fires("Good{}")
	g.fires("Bad{}")
	f.set(func() { f.dead = true })
	away := "LockkeeperRulesNotEvaluated{severity=page}"
	g.fires(away)
	if err := p.health(t.Context()); err == nil || !strings.Contains(err.Error(), "no answer within query_timeout, 1s") {
		t.Errorf("Health: %v", err)
	}
	f.set(func() { f.dead = false })
	g.over(away)
	g.only("Good{} fires", "Bad{} fires", away)
}

func TestResultsRefused(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.names = []string{"good", "bad"}
	f.takes = http.StatusServiceUnavailable
	p, g := f.evaluated(t, twoRules)
	lost := "LockkeeperRuleResultsLost{severity=ticket}"
	g.fires(lost)
	want := "the storage refuses results: 503 Service Unavailable: disk full"
	if err := p.health(t.Context()); err == nil || err.Error() != want {
		t.Errorf("Health: %v, want %s", err, want)
	}
	g.fires("Good{}") // all the same
	f.set(func() { f.takes = 0 })
	g.over(lost)
	f.metric(t, "lockkeeper_rules_samples_lost_total", 1)
	f.metric(t, "lockkeeper_rules_samples_written_total", 1)
	g.only("Good", "Bad", lost)
}

// A storage that says yes and keeps nothing is found out.
func TestResultsForgotten(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.names = []string{"good", "bad"}
	f.forgets = true
	p, g := f.evaluated(t, twoRules)
	lost := "LockkeeperRuleResultsLost{severity=ticket}"
	g.fires(lost)
	if err := p.health(t.Context()); err == nil || !strings.Contains(err.Error(), "takes results, but what it has taken") {
		t.Errorf("Health: %v", err)
	}
	f.set(func() { f.forgets = false })
	g.over(lost)
	g.only("Good", "Bad", lost)
}

func TestMetricMissing(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.names = []string{"there"}
	_, g := f.evaluated(t, `
groups:
  - name: g
    rules:
      - {record: made, expr: there}
      - {alert: A, expr: 'rate(there[5m]) / sum(tehre) > made'}
      - {alert: B, expr: 'absent(gone) or absent_over_time(gone2[5m])'}
      - {alert: C, expr: 'ALERTS{alertname="A"} or {job="x"}'}
`)
	missing := "LockkeeperRuleMetricMissing{metric=tehre,rule=A,severity=info}"
	g.fires(missing)
	f.set(func() { f.names = append(f.names, "tehre") })
	g.over(missing)
	g.only("A", "B", "C", missing)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = slices.DeleteFunc(f.asked, func(q string) bool { return !strings.HasPrefix(q, "{__name__=~") })
	if diff := cmp.Diff([]string{`{__name__=~"there|tehre"}`, `{__name__=~"tehre"}`}, slices.Compact(f.asked)); diff != "" {
		t.Errorf("what is known is not asked for (-want +got):\n%s", diff)
	}
}

func TestWarning(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.names = []string{"good", "bad"}
	f.warns = "good"
	_, g := f.evaluated(t, twoRules)
	f.metric(t, "lockkeeper_rules_query_warnings_total", 2)
	g.only("Bad")
}

// Ten thousand alerts at once are told in messages that are no larger than others, and each of them once.
func TestManyAlerts(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.names, f.many = []string{"many"}, 10_000
	began := time.Now()
	_, g := f.evaluated(t, `
groups:
  - name: g
    rules:
      - {alert: Many, expr: many, annotations: {summary: "{{ $labels.service }} is one of many"}}
`)
	until(t, "all are told", func() bool { return len(g.all()) == f.many })
	t.Logf("%d alerts within %v of the start", f.many, time.Since(began).Round(10*time.Millisecond))
	f.metric(t, "lockkeeper_rules_alerts_sent_total", float64(f.many))
	f.mu.Lock()
	defer f.mu.Unlock()
	if sent := f.metrics["lockkeeper_rules_alerts_sent_total"]; sent != float64(f.many) {
		t.Errorf("%v sent", sent)
	}
}
