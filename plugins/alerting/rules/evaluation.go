package main

import (
	"context"
	"errors"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"

	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	outage      = time.Hour        // an alert's state is restored that was written so long ago
	tellEvery   = time.Second      // how soon an alert that fires is sent
	remindAfter = 30 * time.Second // what was told before and is not known yet is told again: a gateway may wait a minute for it
)

// evaluation is one call of Evaluate: the manager evaluates, watch looks after files, source and results, tell sends.
type evaluation struct {
	plugin    *plugin
	settings  settings
	external  labels.Labels
	source    *source
	results   *results
	heartbeat *heartbeat
	missing   *missing
	manager   *rules.Manager
	loader    *loader
	groups    atomic.Pointer[[]*rules.Group] // the manager's own list waits for its updates
	before    chan []firing                  // what a process before this one may have told

	// tell's own
	book     book
	troubles troubles
	failed   []trouble // as of when the source was last there
}

// loader gives the manager the rules that were read and checked.
type loader struct{ *ruleSet }

func (p *plugin) evaluate(ctx context.Context, s sdk.Source, send func([]sdk.Alert) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e := p.newEvaluation(ctx, s)
	defer e.source.close()
	if err := e.use(p.enter(e)); err != nil {
		return err
	}
	defer p.leave(e)

	var running sync.WaitGroup
	running.Go(e.manager.Run)
	running.Go(func() { e.watch(ctx) })
	err := e.tell(ctx, send)
	cancel()
	e.manager.Stop()
	running.Wait()
	return err
}

// use has the manager evaluate set from now on.
func (e *evaluation) use(set *ruleSet) error {
	e.loader.ruleSet = set
	if err := e.manager.Update(e.settings.EvaluationInterval, set.files, e.external, e.settings.ExternalURL, e.iterate); err != nil {
		return err
	}
	groups := e.manager.RuleGroups()
	e.groups.Store(&groups)
	return nil
}

func (p *plugin) newEvaluation(ctx context.Context, s sdk.Source) *evaluation {
	m := newMetrics()
	source := newSource(s, p.settings.QueryTimeout, m)
	external := p.settings.externalLabels()
	e := &evaluation{
		plugin: p, settings: p.settings, source: source, external: external,
		results: &results{source: source, external: external},
		missing: &missing{source: source, lasts: p.pace.missingFor, seen: map[string]bool{}},
		loader:  new(loader),
		before:  make(chan []firing, 1),
		book:    book{told: map[uint64]*entry{}},
	}
	e.heartbeat = &heartbeat{plugin: p.name, results: e.results, within: p.pace.arrival}
	source.settled = e.heartbeat.settled
	externalURL, _ := url.Parse(p.settings.ExternalURL) // decode has read it
	e.manager = rules.NewManager(&rules.ManagerOptions{
		ExternalURL: externalURL,
		QueryFunc:   source.query,
		NotifyFunc:  func(context.Context, string, ...*rules.Alert) {}, // the book tells
		Context:     ctx,
		Appendable:  e.results,
		Queryable:   history{source: source, external: external},
		Logger:      newLog(os.Stderr),
		Registerer:  m.registry,

		OutageTolerance: outage,
		ForGracePeriod:  0, // the state of every alert is restored, however short its for
		ResendDelay:     resend,
		GroupLoader:     e.loader,
	})
	return e
}

// tell sends what has changed, each second, until ctx ends.
func (e *evaluation) tell(ctx context.Context, send func([]sdk.Alert) error) error {
	began := time.Now()
	ticker := time.NewTicker(tellEvery)
	defer ticker.Stop()
	link := func(query string) string {
		if query == "" {
			return e.settings.ExternalURL
		}
		return e.settings.ExternalURL + "/vmui/#/?g0.expr=" + url.QueryEscape(query)
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case alerts := <-e.before:
			for _, alert := range alerts {
				e.book.remembered(alert, began.Add(remindAfter))
			}
		case now := <-ticker.C:
			changed := e.changed(now)
			for part := range slices.Chunk(changed, inMessage) {
				alerts := make([]sdk.Alert, len(part))
				for i := range part {
					alerts[i] = part[i].wire(now, link)
				}
				if err := send(alerts); err != nil {
					return err
				}
				e.source.metrics.alerts.Add(float64(len(alerts)))
			}
		}
	}
}

// changed is what the gateway has to be told now.
func (e *evaluation) changed(now time.Time) []firing {
	groups := *e.groups.Load()
	alerts := e.troubles.firing(now, e.wrong(groups), e.external)
	e.source.metrics.troubles.Set(float64(len(alerts)))
	unknown, pending := map[string]bool{}, map[uint64]bool{}
	for _, group := range groups {
		for _, rule := range group.Rules() {
			rule, ok := rule.(*rules.AlertingRule)
			if !ok {
				continue
			}
			if !rule.Restored() || rule.GetEvaluationTimestamp().IsZero() || notEvaluated(rule) {
				unknown[rule.Name()] = true
			}
			query := rule.Query().String()
			rule.ForEachActiveAlert(func(a *rules.Alert) {
				all := withExternal(a.Labels, e.external)
				if a.State == rules.StatePending {
					pending[all.Hash()] = true
					return
				}
				alerts = append(alerts, firing{all, a.Annotations, a.FiredAt, group.Interval(), query, a.ResolvedAt})
			})
		}
	}
	return e.book.update(now, alerts, func(l labels.Labels) bool { return unknown[l.Get(labels.AlertName)] || pending[l.Hash()] })
}

// notEvaluated tells whether the rule's last evaluation failed. Results that were not taken are another matter.
func notEvaluated(rule rules.Rule) bool {
	var not notWritten
	err := rule.LastError()
	return err != nil && !errors.As(err, &not)
}

// iterate evaluates a group. The first time it waits for the storage, restores what the evaluation has found and evaluates again, so
// that what fired before fires at once. Left to itself the manager would evaluate twice before, for lack of scraped samples; and
// restore what it has found then, be it nothing because the storage was away.
func (e *evaluation) iterate(ctx context.Context, g *rules.Group, at time.Time) {
	for restoring(g) {
		if e.source.wait(ctx) != nil {
			return
		}
		rules.DefaultEvalIterationFunc(ctx, g, at)
		if e.source.check(ctx); unanswered(g) && e.source.doubtful() {
			at = g.EvalTimestamp(time.Now().UnixNano())
			continue // it is not this query that failed
		}
		g.RestoreForState(time.Now())
	}
	rules.DefaultEvalIterationFunc(ctx, g, at)
}

func restoring(g *rules.Group) bool {
	return slices.ContainsFunc(g.Rules(), func(r rules.Rule) bool {
		alerting, ok := r.(*rules.AlertingRule)
		return ok && !alerting.Restored()
	})
}

func unanswered(g *rules.Group) bool {
	return slices.ContainsFunc(g.Rules(), func(r rules.Rule) bool {
		var no *refused
		return notEvaluated(r) && !errors.As(r.LastError(), &no)
	})
}
