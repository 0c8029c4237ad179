package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
)

const (
	lookBack    = 30 * 24 * time.Hour // a metric that nobody has seen for so long does not exist
	namesAtOnce = 100                 // in one request, whose URL must not become too long
)

// missing finds rules that name a metric which never existed: they never fire, and look as if all was well. A metric that
// was seen once is not looked for again.
type missing struct {
	source *source
	lasts  time.Duration // until it is told

	mu    sync.Mutex
	seen  map[string]bool
	never []use
}

// use is a metric that a rule names.
type use struct{ metric, rule, group, file string }

// uses are the metrics that rules name and do not make themselves. What is asked for its absence may be absent.
func uses(groups []*rules.Group) (found []use) {
	made := map[string]bool{"ALERTS": true, "ALERTS_FOR_STATE": true}
	for _, group := range groups {
		for _, rule := range group.Rules() {
			if _, records := rule.(*rules.RecordingRule); records {
				made[rule.Name()] = true
			}
		}
	}
	for _, group := range groups {
		for _, rule := range group.Rules() {
			for _, metric := range metricsOf(rule.Query()) {
				if !made[metric] && !strings.HasPrefix(metric, "lockkeeper_rules_") {
					found = append(found, use{metric, rule.Name(), group.Name(), group.File()})
				}
			}
		}
	}
	return found
}

func metricsOf(query parser.Expr) (names []string) {
	parser.Inspect(query, func(node parser.Node, path []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok || slices.ContainsFunc(path, asksForAbsence) {
			return nil
		}
		for _, m := range selector.LabelMatchers {
			if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual && !slices.Contains(names, m.Value) {
				names = append(names, m.Value)
			}
		}
		return nil
	})
	return names
}

func asksForAbsence(node parser.Node) bool {
	call, ok := node.(*parser.Call)
	return ok && strings.HasPrefix(call.Func.Name, "absent")
}

// look asks the source for the metrics that were not seen yet.
func (m *missing) look(ctx context.Context, groups []*rules.Group) error {
	all := uses(groups)
	m.mu.Lock()
	var ask []string
	for _, one := range all {
		if !m.seen[one.metric] && !slices.Contains(ask, one.metric) {
			ask = append(ask, one.metric)
		}
	}
	m.mu.Unlock()
	found := map[string]bool{}
	for names := range slices.Chunk(ask, namesAtOnce) {
		there, err := m.source.exist(ctx, names)
		if err != nil {
			return err
		}
		for _, name := range there {
			found[name] = true
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range found {
		m.seen[name] = true
	}
	before := m.never
	m.never = slices.DeleteFunc(all, func(one use) bool { return m.seen[one.metric] })
	for _, one := range m.never {
		if !slices.Contains(before, one) {
			info("the rule %q of %s names the metric %s, of which there is no sample", one.rule, one.file, one.metric)
		}
	}
	return nil
}

func (m *missing) troubles() (wrong []trouble) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, one := range m.never {
		wrong = append(wrong, newTrouble("LockkeeperRuleMetricMissing", "info",
			fmt.Sprintf("The rule %q names the metric %s, which has not existed in the last %d days: that part of the rule never finds anything", one.rule, one.metric, lookBack/(24*time.Hour)),
			fmt.Sprintf("Is the name right? If what makes it is not in use here, leave out the rule; it is in group %q of %s.", one.group, one.file),
			m.lasts, "rule", one.rule, "metric", one.metric))
	}
	return wrong
}

// exist returns those of the names that have samples.
func (s *source) exist(ctx context.Context, names []string) ([]string, error) {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = regexp.QuoteMeta(name)
	}
	now := time.Now()
	where := url.Values{
		"match[]": {"{" + labels.MustNewMatcher(labels.MatchRegexp, model.MetricNameLabel, strings.Join(quoted, "|")).String() + "}"},
		"start":   {strconv.FormatInt(now.Add(-lookBack).Unix(), 10)},
		"end":     {strconv.FormatInt(now.Unix(), 10)},
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.api+"/label/__name__/values?"+where.Encode(), nil)
	if err != nil {
		return nil, err
	}
	got, err := s.do(request)
	if err != nil {
		return nil, err
	}
	return got.names()
}
