package failover

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lockkeeper/lockkeeper/xds"
)

// share is an IDC in one scope while its weight is worked out.
type share struct {
	name     string
	item     *item // nil: nobody has a word on it
	base     uint32
	wanted   uint32 // by the shift, else base
	asked    uint32 // wanted, with holds
	weight   uint32
	capacity uint32
	down     bool // the verdicts have it out
	held     bool // a person has it out
	hard     bool // and that does not yield, nor does a weight 0
	part     float64
	why      string
}

// weights are the shares of all IDCs, and whether they are not what people asked for. Verdicts move them only if they act.
func (d *decider) weights(act bool) (map[string]xds.IDC, bool) {
	names := d.idcNames()
	if len(names) == 0 {
		return nil, false
	}
	entry, entryMoved := d.shares(names, "entry", d.in.Shift.Entry, act)
	mesh, meshMoved := d.shares(names, "mesh", d.in.Shift.Mesh, act)
	idcs := make(map[string]xds.IDC, len(names))
	for i, name := range names {
		idc := xds.IDC{Entry: entry[i].weight, Mesh: mesh[i].weight, Why: entry[i].why}
		if mesh[i].why != entry[i].why && mesh[i].why != baseWhy {
			idc.Why += "; mesh: " + mesh[i].why
		}
		idcs[name] = idc
	}
	return idcs, entryMoved || meshMoved
}

const baseWhy = "base weight"

// shares works out one scope.
func (d *decider) shares(names []string, scope string, shift map[string]uint32, act bool) (all []share, moved bool) {
	base := d.Base()
	for _, name := range names {
		s := share{
			name: name, item: d.idcs[idcSubject(name, scope)], base: base[name], wanted: base[name], part: 1, why: baseWhy,
			capacity: uint32(min(d.IDCs[name].CapacityPercent, 100) * xds.Whole / 100),
		}
		if len(shift) > 0 {
			s.wanted, s.why = shift[name], fmt.Sprintf("shift %s by %s", d.in.Shift.ID, d.in.Shift.By)
			s.hard = d.in.Shift.Hard && s.wanted == 0
		}
		if s.item != nil {
			s.apply(act, d.part(s.item.subject))
		}
		all = append(all, s)
	}
	ask(all)
	for i := range all {
		if s := &all[i]; !s.held && s.asked > s.wanted {
			s.why += ", and what people hold out elsewhere"
		}
	}
	return all, act && d.move(all, scope)
}

// apply adds what is held of the IDC, and what people hold it to.
func (s *share) apply(act bool, part float64) {
	if s.item.held {
		s.why = s.item.hold.text()
		s.held = s.item.taken
		s.hard = s.hard || s.held && s.item.hold.Hard
		return
	}
	s.down = act && s.item.Down
	if act {
		s.part = part
	}
}

// well tells whether no verdict speaks against it. A person's word that it is in counts more.
func (s *share) well() bool {
	return s.item == nil || !s.down && !s.item.bad() || s.item.held && !s.held
}

// ask works out what people ask for: what the shift says, else base weights, with the share of what they hold out given to the others.
func ask(all []share) {
	give := func(to func(*share) bool, by func(*share) uint32) bool { return assign(all, to, by) }
	_ = give(func(s *share) bool { return !s.held }, wantedOf) ||
		give(func(s *share) bool { return !s.held && !s.hard }, baseOf) || // a weight 0 yields
		give(func(s *share) bool { return !s.hard }, wantedOf) || // so does a soft hold
		give(func(s *share) bool { return !s.hard }, baseOf) ||
		give(func(s *share) bool { return true }, wantedOf) ||
		give(func(s *share) bool { return true }, baseOf)
	for i := range all {
		all[i].weight = all[i].asked
	}
}

func wantedOf(s *share) uint32 { return s.wanted }
func baseOf(s *share) uint32   { return s.base }
func askedOf(s *share) uint32  { return s.asked }

// assign asks for shares of Whole for some, in proportion; false: there is nobody, or none of them has a part. The others get 0.
func assign(all []share, to func(*share) bool, by func(*share) uint32) bool {
	parts := make([]float64, len(all))
	var sum float64
	for i := range all {
		if s := &all[i]; to(s) {
			parts[i] = float64(by(s))
			sum += parts[i]
		}
	}
	if sum == 0 {
		return false
	}
	for i, n := range split(xds.Whole, parts) {
		all[i].asked = n
	}
	return true
}

// move takes traffic from those that are down, or only just back, to the others, as far as these can carry it. It tells whether it had to, or
// wished that it could.
func (d *decider) move(all []share, scope string) (moved bool) {
	if d.nobody(all, scope) {
		for i := range all {
			all[i].why += ", as no IDC is known to be healthy"
		}
		d.alarm("none_healthy", scope+": no IDC is known to be healthy: weights are as if all were")
		return true
	}
	to, by := receivers(all)
	if to == nil {
		d.alarm("none_healthy", scope+": what people leave the traffic to is down, and their word is hard")
		return true
	}
	var freed uint32
	for i := range all {
		s := &all[i]
		moved = moved || s.asked > 0 && !s.well()
		if s.asked == 0 || to(s) || !s.down && s.part == 1 {
			continue
		}
		s.weight = 0
		if !s.down {
			s.weight = uint32(float64(s.asked) * s.part)
		}
		freed += s.asked - s.weight
	}
	if freed == 0 {
		return moved
	}
	d.pour(all, freed, scope, to, by)
	for i := range all {
		all[i].explain(scope)
	}
	return true
}

// nobody tells whether there is no IDC to move anything to: all are down, or there is no observer whose word counts.
func (d *decider) nobody(all []share, scope string) bool {
	if scope == "entry" && d.allAbstain {
		return !slices.ContainsFunc(all, func(s share) bool { return s.item != nil && s.item.held && !s.held })
	}
	return !slices.ContainsFunc(all, func(s share) bool { return s.well() })
}

// receivers are those that traffic may be moved to, and in which proportion: those that serve anyway, else those that are only just back, else
// those whose hold or weight 0 yields. Nil: nobody.
func receivers(all []share) (to func(*share) bool, by func(*share) uint32) {
	serves := func(s *share) bool { return s.well() && s.asked > 0 }
	yields := func(s *share) bool { return s.well() && s.asked == 0 && !s.hard }
	among := func(to func(*share) bool) bool { return slices.ContainsFunc(all, func(s share) bool { return to(&s) }) }
	if full := func(s *share) bool { return serves(s) && s.part == 1 }; among(full) {
		return full, askedOf
	}
	if among(serves) {
		return serves, askedOf
	}
	if among(yields) {
		return yields, func(s *share) uint32 { return max(s.base, 1) }
	}
	return nil, nil
}

// pour adds what was freed to the receivers, none above its capacity. What nobody can carry stays where it was.
func (d *decider) pour(all []share, freed uint32, scope string, to func(*share) bool, by func(*share) uint32) {
	for freed > 0 {
		parts := make([]float64, len(all))
		var sum float64
		for i := range all {
			if s := &all[i]; to(s) && s.weight < s.capacity {
				parts[i] = float64(by(s))
				sum += parts[i]
			}
		}
		if sum == 0 {
			break
		}
		for i, n := range split(freed, parts) {
			if s := &all[i]; n > 0 {
				n = min(n, s.capacity-s.weight)
				s.weight += n
				freed -= n
			}
		}
	}
	if freed == 0 {
		return
	}
	parts := make([]float64, len(all))
	var over []string
	for i := range all {
		if s := &all[i]; !to(s) && s.asked > s.weight {
			parts[i] = float64(s.asked - s.weight)
			over = append(over, s.name)
		}
	}
	for i, n := range split(freed, parts) {
		all[i].weight += n
	}
	d.alarm("capacity", fmt.Sprintf("%s: the others can carry no more: %s of all traffic stays at %s", scope, percent(freed), strings.Join(over, ", ")))
}

func percent(weight uint32) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", float64(weight)*100/xds.Whole), "0"), ".") + " %"
}

// explain says why a weight is not what was asked for.
func (s *share) explain(scope string) {
	switch {
	case s.weight == s.asked:
	case s.down && s.item.bad():
		s.why = fmt.Sprintf("%s %s is %s", s.name, scope, s.item.cause(""))
		if s.weight > 0 {
			s.why += "; the others can carry no more"
		}
	case s.down:
		s.why = fmt.Sprintf("%s %s was down, and is not clean for long enough yet", s.name, scope)
	case s.weight < s.asked:
		s.why = fmt.Sprintf("%s %s is back: its weight comes back in steps", s.name, scope)
	default:
		s.why = "takes over from what is down: " + percent(s.asked) + " were asked"
	}
}
