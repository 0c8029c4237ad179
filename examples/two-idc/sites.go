package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

const (
	sitesClean = 5 * time.Second // of an IDC, as in sites/lockkeeper.yaml
	agreeSoon  = time.Second
	watchFor   = 10 * time.Second
)

// sitesScene runs the scene "sites": three gateways decide together, and links between them are cut, and gateways die.
func sitesScene(ctx context.Context, o options) (err error) {
	n, done, err := enterNetwork(ctx, "sites", "The links between the sites cannot be cut: a data centre's entry is killed instead, and a gateway stopped (SIGSTOP) in place of a partition")
	if done || err != nil {
		return err
	}
	s := &sitesStage{options: o, network: n}
	defer func() { err = errors.Join(err, s.close()) }()
	if ctx, err = s.open(ctx); err != nil {
		return err
	}
	begin := time.Now()
	if err := s.even(ctx); err != nil {
		return err
	}
	s.say("three gateways have met and serve the same: half of the entry and of the mesh to each data centre (%.1f s)", time.Since(begin).Seconds())
	for _, act := range []struct {
		title string
		play  func(context.Context) error
	}{
		{"the link between IDC 1 and IDC 2 is cut", s.cutPrivate},
		{"the link between IDC 1 and outside is cut", s.cutOutside},
		{"the witness dies", s.witnessDies},
		{fmt.Sprintf("IDC 2 is parted from both others for %v", o.partition), s.part},
		{"gateways are killed", s.killed},
	} {
		s.say("")
		s.say("%s", act.title)
		if err := act.play(ctx); err != nil {
			return fmt.Errorf("%s: %w", act.title, err)
		}
	}
	return s.verdict()
}

// steady claims that DNS servers went on answering both entries, and that nobody made a new decision.
func (s *sitesStage) steady(from, to time.Time, all ...place) {
	for _, p := range all {
		serials, addresses := s.followers[p.name].answered(from, to)
		s.claim(len(serials) == 1 && len(addresses) == 2, "no flip: for %.0f s the DNS server of %s answers both entries, by one serial (%v)", to.Sub(from).Seconds(), p.idc, serials)
	}
}

// together claims that both DNS servers had the same serial, but for a second.
func (s *sitesStage) together(what string, from, to time.Time) {
	berlin, tokyo, _ := places()
	apart := longestApart(s.followers[berlin.name].between(from, to), s.followers[tokyo.name].between(from, to))
	s.claim(apart <= agreeSoon, "%s: the serials of both DNS servers differed for %.2f s at most", what, apart.Seconds())
}

// unmoved claims that DNS servers went on answering both entries, and had the same serial but for a second: a gateway that starts again numbers what is
// served anew.
func (s *sitesStage) unmoved(what string, from, to time.Time, all ...place) {
	for _, p := range all {
		_, addresses := s.followers[p.name].answered(from, to)
		s.claim(len(addresses) == 2, "%s: the DNS server of %s answers both entries", what, p.idc)
	}
	s.together(what, from, to)
}

// cutPrivate: an observer inside an IDC never judges the other alone.
func (s *sitesStage) cutPrivate(ctx context.Context) error {
	if !s.network.own {
		s.say("not shown: on loopback addresses there is no link to cut")
		return nil
	}
	berlin, tokyo, _ := places()
	from := time.Now()
	if err := s.cut(berlin, privateNet); err != nil {
		return err
	}
	for _, p := range []place{berlin, tokyo} {
		other := map[place]place{berlin: tokyo, tokyo: berlin}[p]
		if err := s.sees(ctx, berlin, "idc/"+other.idc+"/mesh", p.name, "dead"); err != nil {
			return err
		}
	}
	s.say("     each data centre sees the other's mesh dead after %.1f s, and hears of the other's opinion by the witness", time.Since(from).Seconds())
	rest(ctx, watchFor)
	s.steady(from, time.Now(), berlin, tokyo)
	for _, p := range allPlaces() {
		g, err := s.serving(ctx, p)
		if err != nil {
			return err
		}
		s.claim(g.String() == "entry 5000:5000, mesh 5000:5000, out []", "%s serves as before: %s", p.gateway(), g)
	}
	alarmed, err := s.alarmed(ctx, berlin, "FailoverQuorum", "")
	s.claim(alarmed, "the gateway of IDC 1 has the alarm FailoverQuorum: of the mesh no two sites agree")
	return errors.Join(err, s.heal(berlin, privateNet), s.sees(ctx, berlin, "idc/idc1/mesh", tokyo.name, "healthy"), s.sees(ctx, tokyo, "idc/idc2/mesh", berlin.name, "healthy"), s.even(ctx))
}

// sees waits until a gateway knows that a site holds something of a subject.
func (s *sitesStage) sees(ctx context.Context, p place, subject, site, health string) error {
	return untilEach(ctx, sampleEach, patience, func() error {
		d, err := s.decided(ctx, p)
		if got := d.opinion(subject, site); err == nil && got != health {
			err = fmt.Errorf("at %s %s holds %s for %q, expected %q", p.name, site, subject, got, health)
		}
		return err
	})
}

// rest waits, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// cutOutside: what the world cannot reach gets nothing at the entry, and stays in the mesh.
func (s *sitesStage) cutOutside(ctx context.Context) error {
	berlin, tokyo, _ := places()
	struck := time.Now()
	if err := s.loseEntry(berlin); err != nil {
		return err
	}
	rest(ctx, watchFor)
	now := time.Now()
	var gone [2]time.Duration
	for i, p := range []place{berlin, tokyo} {
		last := s.followers[p.name].last(s.entry(berlin), struck)
		gone[i] = max(0, last.Sub(struck))
		s.claim(now.Sub(last) > watchFor/2, "the DNS server of %s answers the entry of IDC 1 for %.2f s more", p.idc, gone[i].Seconds())
	}
	s.claim((gone[0]-gone[1]).Abs() <= agreeSoon, "both agree within a second: %.2f s between them", (gone[0] - gone[1]).Abs().Seconds())
	s.together("while the entry moves", struck, now)
	for _, p := range allPlaces() {
		g, err := s.serving(ctx, p)
		if err != nil {
			return err
		}
		s.claim(g.String() == "entry 0:10000, mesh 5000:5000, out []", "%s: the entry has moved, the mesh has not: %s", p.gateway(), g)
	}
	healed := time.Now()
	if err := s.regainEntry(berlin); err != nil {
		return err
	}
	if err := s.even(ctx); err != nil {
		return err
	}
	even := time.Now()
	for _, p := range []place{berlin, tokyo} {
		for _, seen := range s.followers[p.name].between(healed, even) {
			if seen.ip == s.entry(berlin) {
				back := seen.at.Sub(healed)
				s.claim(back >= sitesClean-500*time.Millisecond, "the DNS server of %s answers it again %.2f s after it is reached again, not before %v", p.idc, back.Seconds(), sitesClean)
				break
			}
		}
	}
	s.say("     both have half again after %.1f s", even.Sub(healed).Seconds())
	s.together("while it comes back", healed, even)
	return nil
}

// loseEntry has a data centre's entry out of the world's reach.
func (s *sitesStage) loseEntry(p place) error {
	if s.network.own {
		return s.cut(p, outsideNet)
	}
	return s.processes.end("entry-"+p.name, syscall.SIGKILL)
}

func (s *sitesStage) regainEntry(p place) error {
	if s.network.own {
		return s.heal(p, outsideNet)
	}
	return s.processes.again("entry-" + p.name)
}

// witnessDies: of three sites two are enough.
func (s *sitesStage) witnessDies(ctx context.Context) error {
	berlin, tokyo, outside := places()
	died := time.Now()
	if err := s.processes.end(outside.gateway(), syscall.SIGKILL); err != nil {
		return err
	}
	for _, p := range []place{berlin, tokyo} {
		err := untilEach(ctx, 200*time.Millisecond, patience, s.alarm(ctx, p, outside.name, true))
		s.claim(err == nil, "the gateway of %s has the alarm SiteSilent of %s, %.1f s after it was killed", p.idc, outside.name, time.Since(died).Seconds())
	}
	rest(ctx, 2*time.Second)
	s.steady(died, time.Now(), berlin, tokyo)
	back := time.Now()
	if err := errors.Join(s.processes.again(outside.gateway()), await(ctx, outside.gateway(), s.console(outside)+"/-/ready", 30*time.Second)); err != nil {
		return err
	}
	for _, p := range []place{berlin, tokyo} {
		err := untilEach(ctx, 200*time.Millisecond, patience, s.alarm(ctx, p, outside.name, false))
		s.claim(err == nil, "the alarm is over at %s %.1f s after it was started again", p.idc, time.Since(back).Seconds())
	}
	if err := s.even(ctx); err != nil {
		return err
	}
	rest(ctx, time.Second)
	s.unmoved("the witness is back", back, time.Now(), berlin, tokyo)
	return nil
}

func (s *sitesStage) alarm(ctx context.Context, p place, site string, want bool) func() error {
	return func() error {
		got, err := s.alarmed(ctx, p, "SiteSilent", site)
		if err == nil && got != want {
			err = fmt.Errorf("alarm SiteSilent at %s: %v", p.name, got)
		}
		return err
	}
}

// verdict writes what was claimed.
func (s *sitesStage) verdict() error {
	s.say("")
	for _, f := range s.followers {
		err := f.wentBack()
		s.claim(err == nil, "in %d answers the serial of %s never went back", len(f.between(time.Time{}, time.Now())), f.server)
	}
	text, err := json.MarshalIndent(s.claims, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.file("result.json"), append(text, '\n'), 0o644); err != nil {
		return err
	}
	return s.held()
}
