package failover

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lockkeeper/lockkeeper/xds"
)

// Bounds of what is taken from others.
const (
	mostKey     = 2048                // bytes: xds takes names of 1024
	mostEntry   = 4 << 20             // bytes of an entry
	mostEntries = 300_000             // of all gateways
	mostLasts   = 70 * 24 * time.Hour // how long anything may hold

	mostVersions = 10 * 365 * 24 * 3_600_000 // milliseconds that a version may be ahead: it never goes back, and a clock may have been wrong once
)

// parse reads what an entry says, or says why it cannot have been written by a gateway.
func (e *entry) parse(sites map[string]string) error {
	switch {
	case !slices.Contains(topics(), e.Topic):
		return fmt.Errorf("there is no topic %q", e.Topic)
	case len(e.Key) > mostKey, len(e.Origin) > mostKey, e.Origin == "":
		return errors.New("the names are too long, or missing")
	case e.Clock <= 0, e.Until < 0, e.Keep < e.Until, e.Keep-e.Clock > int64(mostLasts):
		return errors.New("the times are impossible")
	case len(e.Body) == 0:
		e.Body, e.value = nil, nil
		return e.checkOwner()
	}
	var err error
	switch e.Topic {
	case topicOpinion:
		err = errors.Join(e.checkOwner(), read1(e, (*Opinion).check))
		if o, ok := e.value.(*Opinion); err == nil && ok {
			if _, known := sites[o.Site]; !known {
				err = fmt.Errorf("%q is not among sites", o.Site)
			}
		}
	case topicCluster:
		err = errors.Join(e.checkOwner(), read1(e, func(*[]string, *entry) error { return nil }))
	case topicRules:
		err = errors.Join(e.checkOwner(), read1(e, func(*string, *entry) error { return nil }))
	case topicHold:
		err = read1(e, (*Hold).check)
	case topicPlan:
		err = read1(e, (*Plan).check)
	case topicMemory:
		err = read1(e, func(m *memory, e *entry) error { return checkHealth(m.Health) })
	case topicServing:
		err = read1(e, (*served).check)
	}
	if err != nil {
		e.value = nil
	}
	return err
}

// read1 reads an entry's body as one of its topic.
func read1[T any](e *entry, check func(*T, *entry) error) error {
	value := new(T)
	if err := json.Unmarshal(e.Body, value); err != nil {
		return err
	}
	e.value = value
	return check(value, e)
}

// checkOwner: what a gateway knows itself nobody else may say.
func (e *entry) checkOwner() error {
	if !e.Topic.owned() {
		return nil
	}
	if member, rest := e.member(); member != e.Origin || rest == "" {
		return errors.New("it is another gateway's to say")
	}
	return nil
}

func checkHealth(h Health) error {
	if h != Unknown && h != Healthy && h != Dead && h != Gray {
		return fmt.Errorf("health: there is no %q", h)
	}
	return nil
}

func (o *Opinion) check(e *entry) error {
	if _, subject := e.member(); subject != o.Subject {
		return errors.New("it is of another subject")
	}
	return checkHealth(o.Health)
}

func (h *Hold) check(e *entry) error {
	switch {
	case h.Subject != e.Key || h.Until.UnixNano() != e.Until:
		return errors.New("it is another hold than it says")
	case h.Action != Keep && h.Action != Eject && h.Action != Restore:
		return fmt.Errorf("action: there is no %q", h.Action)
	}
	return nil
}

func (p *Plan) check(e *entry) error {
	switch {
	case len(p.Steps) == 0 || len(p.Steps) > maxShiftSteps+1 || p.Stage < 0 || p.Stage >= len(p.Steps):
		return errors.New("it has no such step")
	case p.Scope != ScopeEntry && p.Scope != ScopeMesh && p.Scope != ScopeBoth:
		return fmt.Errorf("scope: there is no %q", p.Scope)
	case !slices.Contains([]PlanState{Running, Waiting, Holding, Done, Aborted}, p.State):
		return fmt.Errorf("state: there is no %q", p.State)
	case e.Rank != p.rank() || e.Key != "":
		return errors.New("it is not as far as it says")
	case p.At.UnixNano() > e.Clock+int64(mostAhead):
		return errors.New("it began after it was told") // no other would ever come after it
	}
	for _, s := range p.Steps {
		if !wholeWeights(s.Weights) {
			return errors.New("the weights of a step do not sum up")
		}
	}
	if p.Before != nil && (p.Before.Shift.Entry != nil && !wholeWeights(p.Before.Shift.Entry) || p.Before.Shift.Mesh != nil && !wholeWeights(p.Before.Shift.Mesh)) {
		return errors.New("the weights before it do not sum up")
	}
	return nil
}

func wholeWeights(weights map[string]uint32) bool {
	var sum uint64
	for _, w := range weights {
		sum += uint64(w)
	}
	return sum == xds.Whole
}

func (s *served) check(e *entry) error {
	for _, d := range []*xds.Serving{&s.Serving, &s.Would} {
		entry, mesh := map[string]uint32{}, map[string]uint32{}
		for name, idc := range d.IDCs {
			entry[name], mesh[name] = idc.Entry, idc.Mesh
		}
		if len(d.IDCs) > 0 && (!wholeWeights(entry) || !wholeWeights(mesh)) {
			return errors.New("the weights do not sum up")
		}
	}
	if s.Serving.Version != e.Rank {
		return errors.New("it has another version than it says")
	}
	if s.Serving.Version > uint64(e.Clock/1e6+mostVersions) {
		return errors.New("its version is from the future") // and would never end
	}
	return nil
}

// rank is how far a plan is: a later one is further than an earlier, one that has ended further than one that goes on, and a later step further
// than an earlier. So nobody who goes on with a plan overrules who has ended it.
func (p *Plan) rank() uint64 {
	if p == nil {
		return 0
	}
	phase := uint64(0)
	switch {
	case p.Active():
	case p.Before != nil:
		phase = 1
	default:
		phase = 2
	}
	return uint64(max(p.At.UnixMilli(), 0))<<9 | phase<<7 | uint64(p.Stage)
}
