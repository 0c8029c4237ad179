package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"syscall"
	"time"
)

const (
	heldMachine = "machine/a" // taken out by hand
	deadMachine = "machine/c"

	restarts = 2 * time.Second // what a gateway may take until it answers, and hears the others
)

// part: a site that was away brings nothing old with it.
func (s *sitesStage) part(ctx context.Context) error {
	berlin, tokyo, outside := places()
	begin := time.Now()
	if err := s.lockkeeper(ctx, "failover", "eject", heldMachine, "--for", "1h", "--why", "demo", "--url", s.console(tokyo)); err != nil {
		return err
	}
	took, err := s.agreeOut(ctx, begin, []string{heldMachine}, allPlaces()...)
	if err != nil {
		return err
	}
	s.claim(took <= agreeSoon+time.Second, "%s is ejected by hand at IDC 2, and everywhere %.2f s later, the command's own time included", heldMachine, took.Seconds())
	died := time.Now()
	if err := s.processes.end("machine-c", syscall.SIGKILL); err != nil {
		return err
	}
	if took, err = s.agreeOut(ctx, died, []string{heldMachine, deadMachine}, allPlaces()...); err != nil {
		return err
	}
	s.say("     %s dies, and is out everywhere after %.2f s", deadMachine, took.Seconds())

	parted := time.Now()
	if err := s.partOff(tokyo); err != nil {
		return err
	}
	if err := s.meet(ctx, berlin, 2); err != nil {
		return err
	}
	s.say("     the others miss it after %.1f s", time.Since(parted).Seconds())
	if err := errors.Join(
		s.lockkeeper(ctx, "failover", "release", heldMachine, "--url", s.console(berlin)),
		s.processes.again("machine-c"),
	); err != nil {
		return err
	}
	if _, err := s.agreeOut(ctx, parted, nil, berlin, outside); err != nil {
		return err
	}
	s.say("     meanwhile %s is released and %s lives again: both serve again at IDC 1 and outside, after %.1f s", heldMachine, deadMachine, time.Since(parted).Seconds())
	rest(ctx, time.Until(parted.Add(s.partition)))
	if s.network.own {
		g, err := s.serving(ctx, tokyo)
		if err != nil {
			return err
		}
		s.claim(len(g.Out) == 2, "the gateway of IDC 2 stays with the last decision of all: %s", g)
	}
	return s.returns(ctx, tokyo)
}

// returns heals the partition and looks for anything old.
func (s *sitesStage) returns(ctx context.Context, tokyo place) error {
	berlin, _, outside := places()
	healed := time.Now()
	watching, cancel := context.WithCancel(ctx)
	old := make(chan error, 1)
	go func() { old <- s.nothingOld(watching, berlin, outside) }()
	defer cancel()
	if err := s.partOn(tokyo); err != nil {
		return err
	}
	if err := s.meet(ctx, tokyo, 3); err != nil {
		return err
	}
	met := time.Now()
	took, err := s.agreeOut(ctx, met, nil, allPlaces()...)
	if err != nil {
		return err
	}
	s.claim(took <= agreeSoon, "IDC 2 meets the others %.1f s after the partition is over, and serves what they serve %.2f s later", met.Sub(healed).Seconds(), took.Seconds())
	agreed := time.Now()
	if err := s.even(ctx); err != nil {
		return err
	}
	rest(ctx, 5*time.Second)
	s.together("since it is back", agreed, time.Now())
	cancel()
	err = <-old
	s.claim(err == nil, "no old hold and no old ejection came back at IDC 1 or outside %s", orNothing(err))
	for _, p := range allPlaces() {
		d, err := s.decided(ctx, p)
		if err != nil {
			return err
		}
		g, err := s.serving(ctx, p)
		if err != nil {
			return err
		}
		s.claim(!d.holds(heldMachine) && len(g.Out) == 0, "%s: no hold, nothing out: %s", p.gateway(), g)
	}
	return nil
}

func orNothing(err error) string {
	if err == nil {
		return ""
	}
	return "(" + err.Error() + ")"
}

// nothingOld looks at gateways again and again, until ctx ends.
func (s *sitesStage) nothingOld(ctx context.Context, all ...place) error {
	for ctx.Err() == nil {
		for _, p := range all {
			g, err := s.serving(ctx, p)
			if err == nil && len(g.Out) > 0 {
				return fmt.Errorf("%s: %s", p.name, g)
			}
			d, err := s.decided(ctx, p)
			if err == nil && len(d.Holds) > 0 {
				return fmt.Errorf("%s: %v is held", p.name, d.Holds)
			}
		}
		rest(ctx, sampleEach)
	}
	return nil
}

// agreeOut waits until these machines are out at all of the places, and no other, and they serve the same by the same version.
func (s *sitesStage) agreeOut(ctx context.Context, since time.Time, out []string, all ...place) (time.Duration, error) {
	if err := untilEach(ctx, sampleEach, patience, func() error {
		for _, p := range all {
			g, err := s.serving(ctx, p)
			if err != nil {
				return err
			}
			for _, subject := range out {
				if _, is := g.Out[subject]; !is {
					return fmt.Errorf("%s is not out at %s", subject, p.name)
				}
			}
			if len(g.Out) != len(out) {
				return fmt.Errorf("%s serves %s", p.name, g)
			}
		}
		return nil
	}); err != nil {
		return 0, err
	}
	return s.agree(ctx, since, all...)
}

// meet waits until a gateway knows of so many that answer.
func (s *sitesStage) meet(ctx context.Context, p place, want int) error {
	return untilEach(ctx, sampleEach, patience, func() error {
		got, err := s.met(ctx, p)
		if err == nil && got != want {
			err = fmt.Errorf("%s knows of %d gateways that answer, expected %d", p.name, got, want)
		}
		return err
	})
}

// partOff parts a place from all others.
func (s *sitesStage) partOff(p place) error {
	if !s.network.own {
		return s.processes.signal(p.gateway(), syscall.SIGSTOP)
	}
	return errors.Join(s.cut(p, privateNet), s.cut(p, outsideNet))
}

func (s *sitesStage) partOn(p place) error {
	if !s.network.own {
		return s.processes.signal(p.gateway(), syscall.SIGCONT)
	}
	return errors.Join(s.heal(p, privateNet), s.heal(p, outsideNet))
}

// killed: a gateway that dies changes nothing, neither here nor there.
func (s *sitesStage) killed(ctx context.Context) error {
	berlin, tokyo, _ := places()
	if err := s.lockkeeper(ctx, "failover", "eject", heldMachine, "--for", "1h", "--why", "demo", "--url", s.console(berlin)); err != nil {
		return err
	}
	if _, err := s.agreeOut(ctx, time.Now(), []string{heldMachine}, allPlaces()...); err != nil {
		return err
	}
	victim, other := berlin, tokyo
	if n, err := s.streams(ctx, tokyo); err != nil {
		return err
	} else if n > 0 {
		victim, other = tokyo, berlin
	}
	for range 2 { // the Envoy goes to the other one, and back
		if err := s.kill(ctx, victim, other); err != nil {
			return err
		}
		victim, other = other, victim
	}
	return nil
}

func (s *sitesStage) kill(ctx context.Context, victim, other place) error {
	rest(ctx, 2*time.Second)
	taken, err := s.taken(ctx)
	if err != nil {
		return err
	}
	before, err := s.serving(ctx, victim)
	if err != nil {
		return err
	}
	from := time.Now()
	if err := s.processes.end(victim.gateway(), syscall.SIGKILL); err != nil {
		return err
	}
	pushes, err := selfMetric(ctx, s.network.at(deskNet, other), "lockkeeper_xds_pushes_total")
	if err != nil {
		return err
	}
	if err := untilEach(ctx, sampleEach, patience, func() error {
		n, err := s.streams(ctx, other)
		if err == nil && n != 1 {
			err = fmt.Errorf("%v Envoys at the gateway of %s", n, other.idc)
		}
		return err
	}); err != nil {
		return err
	}
	s.say("     the gateway of %s is killed; its Envoy is connected to that of %s after %.1f s", victim.idc, other.idc, time.Since(from).Seconds())
	rest(ctx, 5*time.Second)
	again := time.Now()
	s.steady(from, again, other)
	if err := errors.Join(s.processes.again(victim.gateway()), await(ctx, victim.gateway(), s.console(victim)+"/-/ready", 30*time.Second), s.even(ctx, heldMachine)); err != nil {
		return err
	}
	rest(ctx, 2*time.Second)
	_, addresses := s.followers[victim.name].answered(again, time.Now())
	s.claim(len(addresses) == 2, "started again, that of %s answers both entries", victim.idc)
	for _, p := range allPlaces() {
		after, err := s.serving(ctx, p)
		if err != nil {
			return err
		}
		s.claim(after.String() == before.String(), "%s serves what was served before: %s", p.gateway(), after)
	}
	s.together("since it answers", again.Add(restarts), time.Now())
	now, err := selfMetric(ctx, s.network.at(deskNet, other), "lockkeeper_xds_pushes_total")
	if err != nil {
		return err
	}
	after, err := s.taken(ctx)
	s.claim(err == nil && taken == after, "the Envoy that moved took up no cluster and no list of endpoints anew (%d; it was sent %v responses to its first requests)", after-taken, now-pushes)
	return err
}

// taken is how many clusters and lists of endpoints the Envoy has taken up.
func (s *sitesStage) taken(ctx context.Context) (n int, err error) {
	berlin, _, _ := places()
	var stats struct {
		Stats []struct {
			Name  string
			Value int
		}
	}
	filter := `^(cluster_manager\.cluster_(added|modified|removed)|cluster\.app\.update_success)$`
	err = readJSON(ctx, fmt.Sprintf("http://%s:%d/stats?format=json&filter=%s", s.network.at(deskNet, berlin), adminPort, url.QueryEscape(filter)), &stats)
	for _, stat := range stats.Stats {
		n += stat.Value
	}
	if err == nil && n < 2 {
		err = fmt.Errorf("the Envoy has taken up %d clusters and lists of endpoints: %v", n, stats.Stats)
	}
	return n, err
}

func (s *sitesStage) streams(ctx context.Context, p place) (float64, error) {
	return selfMetric(ctx, s.network.at(deskNet, p), "lockkeeper_xds_streams")
}
