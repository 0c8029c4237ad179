package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

// plugin is an open alerting-rules: its rules, and the evaluation under way, if there is one.
type plugin struct {
	name     string
	settings settings
	pace     pace

	mu      sync.Mutex
	sum     [sha256.Size]byte // of the files as they were read last
	good    *ruleSet
	refused error // why the files are not in use as they are now; nil: they are
	now     *evaluation
}

// pace is how long what is wrong is waited for.
type pace struct {
	arrival    time.Duration // until what the storage has taken can be queried
	missingFor time.Duration // until a metric that does not exist is told
	lookAgain  time.Duration // for metrics that were not there
}

func defaultPace() pace {
	return pace{arrival: 30 * time.Second, missingFor: time.Hour, lookAgain: 5 * time.Minute}
}

func newPlugin(name string, s settings, rules *ruleSet) *plugin {
	return &plugin{name: name, settings: s, sum: rules.sum, good: rules, pace: defaultPace()}
}

// enter makes e the evaluation under way and returns the rules that it begins with.
func (p *plugin) enter(e *evaluation) *ruleSet {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = e
	return p.good
}

func (p *plugin) leave(e *evaluation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now == e {
		p.now = nil
	}
}

// differ tells whether the files are others than those that were read last, and remembers them.
func (p *plugin) differ(sum [sha256.Size]byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	differ := sum != p.sum
	p.sum = sum
	return differ
}

// keep remembers what became of a change of the files.
func (p *plugin) keep(rules *ruleSet, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = err
	if err == nil {
		p.good = rules
	}
}

// fileTrouble is why the files are not in use as they are now, or nil.
func (p *plugin) fileTrouble() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}

// health is an error while files are refused, nothing can be evaluated, or results are lost.
func (p *plugin) health(context.Context) error {
	p.mu.Lock()
	e, err := p.now, p.refused
	p.mu.Unlock()
	switch {
	case err != nil || e == nil:
		return err
	case e.source.isAway() != nil:
		return e.source.isAway()
	}
	return cmp.Or(e.results.failing(), e.heartbeat.missing())
}
