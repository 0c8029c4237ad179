package main

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
)

const (
	watchEvery = time.Second
	filesEvery = 3 * time.Second // between two looks at the rule files
)

// due tells that something that is done at intervals is to be done now.
type due struct{ next time.Time }

func (d *due) now(now time.Time, interval time.Duration) bool {
	if now.Before(d.next) {
		return false
	}
	d.next = now.Add(interval)
	return true
}

// watch looks after the source, the rule files and the results until ctx ends.
func (e *evaluation) watch(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	var files, beat, look due
	seeded := false
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			e.source.check(ctx)
			if e.source.doubtful() {
				continue // a manager that waits for its groups must not wait for the source
			}
			if files.now(now, filesEvery) && e.reload() {
				look = due{}
			}
			if !seeded {
				seeded = e.seed(ctx) == nil
			}
			if beat.now(now, e.settings.EvaluationInterval) {
				_ = e.heartbeat.beat(ctx) // told by results and source
			}
			if look.now(now, e.plugin.pace.lookAgain) {
				if err := e.missing.look(ctx, *e.groups.Load()); err != nil && ctx.Err() == nil {
					info("which metrics exist cannot be found out: %v", err)
				}
			}
		}
	}
}

// reload reads the files when they have changed. Those with a mistake change nothing.
func (e *evaluation) reload() (changed bool) {
	files := read(e.settings.Files)
	if !e.plugin.differ(files.sum()) {
		return false
	}
	set, err := files.parse()
	if err == nil {
		err = e.use(set)
	}
	e.plugin.keep(set, err)
	if err != nil {
		e.source.metrics.reloads.WithLabelValues("refused").Inc()
		warn("the rule files have mistakes, and the rules of before are kept: %v", err)
		return true
	}
	e.source.metrics.reloads.WithLabelValues("ok").Inc()
	info("the rule files have changed: %d files, %d groups", len(set.files), len(*e.groups.Load()))
	return true
}

// seed has the book begin with what a process before this one told, so that what was over meanwhile is told as well.
func (e *evaluation) seed(ctx context.Context) error {
	vector, err := e.source.query(ctx, `ALERTS{alertstate="firing"}`, time.Now())
	if err != nil {
		return fmt.Errorf("alerts of before: %w", err)
	}
	intervals := map[string]time.Duration{}
	for _, group := range *e.groups.Load() {
		for _, rule := range group.Rules() {
			if _, alerts := rule.(*rules.AlertingRule); alerts {
				intervals[rule.Name()] = group.Interval()
			}
		}
	}
	var told []firing
	for _, sample := range vector {
		interval, ours := intervals[sample.Metric.Get(labels.AlertName)]
		e.external.Range(func(l labels.Label) { ours = ours && sample.Metric.Get(l.Name) == l.Value })
		if ours {
			alert := labels.NewBuilder(sample.Metric).Del(model.MetricNameLabel, "alertstate").Labels()
			told = append(told, firing{labels: alert, since: time.Now(), interval: interval})
		}
	}
	e.before <- told
	return nil
}
