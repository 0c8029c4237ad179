package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// These tests run the finished plugin on a real VictoriaMetrics plugin.

const errorRules = `
groups:
  - name: errors
    rules:
      - record: job:errors:sum
        expr: sum by (job) (errors)
      - alert: Errors
        expr: job:errors:sum > 0
        for: %s
        labels: {severity: page}
        annotations: {summary: "{{ $labels.job }} has {{ $value }} errors in {{ $externalLabels.idc }}"}
`

func config(files ...string) map[string]any {
	return map[string]any{
		"files":               files,
		"evaluation_interval": "1s",
		"external_labels":     map[string]string{"idc": "east"},
	}
}

const webErrors = "Errors{idc=east,job=web,severity=page}"

func TestFiresAndResolves(t *testing.T) {
	t.Parallel()
	s := startStorage(t)
	s.put(3, "errors", "job", "web")
	p := launch(t, built(t, "rules"), "", config(ruleFile(t, fmt.Sprintf(errorRules, "3s"))))
	began := time.Now()
	g := (&gateway{t: t}).listen(p, s)
	g.fires(webErrors)
	if took := time.Since(began); took < 3*time.Second {
		t.Errorf("fired after %v, before its for of 3s", took)
	}
	alert := g.knows(webErrors)
	if got := alert.GetAnnotations()["summary"]; got != "web has 3 errors in east" {
		t.Errorf("summary %q", got)
	}
	if want := "http://localhost:7070/vmui/#/?g0.expr=job%3Aerrors%3Asum+%3E+0"; alert.GetGeneratorUrl() != want {
		t.Errorf("generator URL %q, want %q", alert.GetGeneratorUrl(), want)
	}
	if left := time.Until(alert.GetEndsAt().AsTime()); left < 3*time.Minute || left > 4*time.Minute {
		t.Errorf("ends in %v, want 4 sendings", left)
	}
	// What was found can be queried.
	if got := s.value(`job:errors:sum{idc="east"}`); got != 3 {
		t.Errorf("recorded %v", got)
	}
	s.value(`ALERTS{alertname="Errors",alertstate="firing",job="web",severity="page",idc="east"}`)
	s.value(`ALERTS_FOR_STATE{alertname="Errors",job="web",severity="page",idc="east"}`)
	s.value(`lockkeeper_rules_heartbeat_timestamp_seconds{plugin="rules",idc="east"}`)
	s.value(`prometheus_rule_evaluations_total{plugin="rules"}`)
	// It resolves.
	s.put(0, "errors", "job", "web")
	g.over(webErrors)
	if err := p.health(); err != nil {
		t.Error(err)
	}
	until(t, "no alert is stored as firing", func() bool {
		vector, err := s.source.query(t.Context(), `ALERTS{alertname="Errors"}`, time.Now())
		return err == nil && len(vector) == 0
	})
	if diff := cmp.Diff([]string{webErrors + " fires", webErrors + " is over"}, g.all()); diff != "" {
		t.Error(diff)
	}
}

// After kill -9 the alert is not pending from the beginning.
func TestKilledWhilePending(t *testing.T) {
	t.Parallel()
	f := func(name string, andStorage bool) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startStorage(t)
			s.put(3, "errors", "job", "web")
			file := ruleFile(t, fmt.Sprintf(errorRules, "20s"))
			p := launch(t, built(t, "rules"), "", config(file))
			g := (&gateway{t: t}).listen(p, s)
			since := s.value(`ALERTS_FOR_STATE{alertname="Errors"}`)
			until(t, "pending for 12s", func() bool { return time.Since(time.Unix(int64(since), 0)) > 12*time.Second })
			p.kill()
			if andStorage {
				s.kill()
			}
			killed := time.Now()
			p = launch(t, built(t, "rules"), "", config(file))
			g.listen(p, s)
			if andStorage {
				until(t, "the plugin says that the storage is away", func() bool { return p.health() != nil })
				s.start(t)
			}
			back := time.Now()
			g.fires(webErrors)
			fired := g.knows(webErrors).GetStartsAt().AsTime().Sub(back).Round(time.Second)
			t.Logf("fired %v after all was back: 20s less the %v before", fired, killed.Sub(time.Unix(int64(since), 0)))
			if fired > 18*time.Second {
				t.Error("it was pending from the beginning")
			}
			if restored := s.value(`ALERTS_FOR_STATE{alertname="Errors"}`); restored <= since {
				t.Errorf("pending since %v, then since %v: the time of death counted", since, restored)
			}
		})
	}
	f("the plugin", false)
	f("and the storage, which comes back later", true)
}

// What is over while the plugin is dead is told by the next one.
func TestResolvedWhileDead(t *testing.T) {
	t.Parallel()
	s := startStorage(t)
	s.put(3, "errors", "job", "web")
	s.put(3, "errors", "job", "batch")
	file := ruleFile(t, fmt.Sprintf(errorRules, "1s"))
	p := launch(t, built(t, "rules"), "", config(file))
	g := (&gateway{t: t}).listen(p, s)
	batch := strings.Replace(webErrors, "web", "batch", 1)
	g.fires(webErrors)
	g.fires(batch)
	s.value(`ALERTS{alertname="Errors",alertstate="firing",job="web"}`)
	s.value(`ALERTS{alertname="Errors",alertstate="firing",job="batch"}`)
	p.kill()
	s.put(0, "errors", "job", "web")
	g.listen(launch(t, built(t, "rules"), "", config(file)), s)
	g.over(webErrors)
	if came := g.all(); !fires(g.knows(batch)) || slices.Contains(came, batch+" is over") {
		t.Errorf("the other one fires still: %q", came)
	}
}

// One cause is told once, however many rules there are, and what fired goes on.
func TestStorageAway(t *testing.T) {
	t.Parallel()
	s := startStorage(t)
	s.put(3, "errors", "job", "web")
	text := fmt.Sprintf(errorRules, "1s")
	for i := range 20 {
		text += fmt.Sprintf("      - alert: More%d\n        expr: errors > 100\n", i)
	}
	p := launch(t, built(t, "rules"), "", config(ruleFile(t, text)))
	g := (&gateway{t: t}).listen(p, s)
	g.fires(webErrors)
	s.kill()
	away := "LockkeeperRulesNotEvaluated{idc=east,severity=page}"
	g.fires(away)
	if err := p.health(); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("Health: %v", err)
	}
	s.start(t)
	g.over(away)
	until(t, "healthy", func() bool { return p.health() == nil })
	s.put(0, "errors", "job", "web")
	g.over(webErrors)
	if diff := cmp.Diff([]string{webErrors + " fires", away + " fires", away + " is over", webErrors + " is over"}, g.all()); diff != "" {
		t.Error(diff)
	}
}

// Files with mistakes change nothing, and are told.
func TestReload(t *testing.T) {
	t.Parallel()
	s := startStorage(t)
	s.put(3, "errors", "job", "web")
	good := fmt.Sprintf(errorRules, "1s")
	file := ruleFile(t, good)
	p := launch(t, built(t, "rules"), "", config(file))
	g := (&gateway{t: t}).listen(p, s)
	g.fires(webErrors)
	write(t, file, good+"      - alert: Broken\n        expr: sum(\n")
	refused := "LockkeeperRuleFilesRefused{idc=east,severity=ticket}"
	g.fires(refused)
	if got := g.knows(refused).GetAnnotations()["summary"]; !strings.Contains(got, "rules.yaml:13:15: ") || !strings.Contains(got, "could not parse expression") {
		t.Errorf("summary %q", got)
	}
	if err := p.health(); err == nil {
		t.Error("healthy")
	}
	// The rules of before are evaluated still.
	s.put(1, "errors", "job", "batch")
	batch := strings.Replace(webErrors, "web", "batch", 1)
	g.fires(batch)
	// What fires goes on when other rules come, and is over when its rule goes.
	write(t, file, good+"      - alert: Added\n        expr: errors{job=\"web\"}\n")
	g.fires("Added{idc=east,job=web}")
	g.over(refused)
	write(t, file, strings.Replace(good, "alert: Errors", "alert: Renamed", 1))
	g.over(webErrors)
	g.over(batch)
	g.over("Added{idc=east,job=web}")
	g.fires(strings.Replace(webErrors, "Errors", "Renamed", 1))
	if err := p.health(); err != nil {
		t.Error(err)
	}
}

// Whenever the plugin is killed, what fires is never told to be over, and what is over is told.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	s := startStorage(t)
	s.put(3, "errors", "job", "web")
	file := ruleFile(t, fmt.Sprintf(errorRules, "1s"))
	g := &gateway{t: t}
	p := launch(t, built(t, "rules"), "", config(file))
	g.listen(p, s)
	g.fires(webErrors)
	for range 10 {
		wait := time.Duration(rand.Int64N(int64(4 * time.Second)))
		t.Logf("killed after %v", wait)
		time.Sleep(wait)
		p.kill()
		p = launch(t, built(t, "rules"), "", config(file))
		g.listen(p, s)
	}
	s.put(0, "errors", "job", "web")
	g.over(webErrors)
	if diff := cmp.Diff([]string{webErrors + " fires", webErrors + " is over"}, g.all()); diff != "" {
		t.Error(diff)
	}
}

// Whenever the storage is killed, be it back before anybody has noticed, what fires goes on.
func TestStorageKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	s := startStorage(t)
	s.put(3, "errors", "job", "web")
	p := launch(t, built(t, "rules"), "", config(ruleFile(t, fmt.Sprintf(errorRules, "1s"))))
	g := (&gateway{t: t}).listen(p, s)
	g.fires(webErrors)
	for range 10 {
		wait := time.Duration(rand.Int64N(int64(4 * time.Second)))
		t.Logf("killed after %v", wait)
		time.Sleep(wait)
		s.kill()
		s.start(t)
	}
	until(t, "healthy", func() bool { return p.health() == nil })
	s.put(0, "errors", "job", "web")
	g.over(webErrors)
	came := slices.DeleteFunc(g.all(), func(one string) bool { return strings.HasPrefix(one, "Lockkeeper") }) // if a start took long
	if diff := cmp.Diff([]string{webErrors + " fires", webErrors + " is over"}, came); diff != "" {
		t.Error(diff)
	}
}
