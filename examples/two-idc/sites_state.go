package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// sampleEach is how often a gateway is asked while something is awaited.
const sampleEach = 50 * time.Millisecond

// A gatewayServing is what a gateway decided.
type gatewayServing struct {
	Version uint64
	Out     map[string]any
	IDCs    map[string]struct{ Entry, Mesh uint32 }
}

func (g gatewayServing) String() string {
	var out []string
	for subject := range g.Out {
		out = append(out, subject)
	}
	slices.Sort(out)
	return fmt.Sprintf("entry %d:%d, mesh %d:%d, out [%s]", g.IDCs["idc1"].Entry, g.IDCs["idc2"].Entry, g.IDCs["idc1"].Mesh, g.IDCs["idc2"].Mesh, strings.Join(out, " "))
}

func (s *sitesStage) serving(ctx context.Context, p place) (g gatewayServing, err error) {
	err = readJSON(ctx, s.console(p)+"/api/v1/serving", &g)
	return g, err
}

// agree waits until all of the places serve the same by the same version, and tells how long that took.
func (s *sitesStage) agree(ctx context.Context, since time.Time, all ...place) (took time.Duration, err error) {
	err = untilEach(ctx, sampleEach, patience, func() error {
		first, err := s.serving(ctx, all[0])
		for _, p := range all[1:] {
			other, problem := s.serving(ctx, p)
			if err = errors.Join(err, problem); err == nil && (other.Version != first.Version || other.String() != first.String()) {
				err = fmt.Errorf("%s serves %s by version %d, %s %s by %d", all[0].name, first, first.Version, p.name, other, other.Version)
			}
		}
		return err
	})
	return time.Since(since), err
}

// even waits until every gateway is served both data centres alike with nothing out but what is named, all agree, and all see all well.
func (s *sitesStage) even(ctx context.Context, out ...string) error {
	for _, p := range allPlaces() {
		if err := untilEach(ctx, sampleEach, patience, func() error {
			g, err := s.serving(ctx, p)
			if err != nil {
				return err
			}
			for _, idc := range []string{"idc1", "idc2"} {
				if w := g.IDCs[idc]; w.Entry != 5000 || w.Mesh != 5000 {
					return fmt.Errorf("%s serves %s", p.name, g)
				}
			}
			for _, subject := range out {
				delete(g.Out, subject)
			}
			if len(g.Out) > 0 {
				return fmt.Errorf("%s serves %s", p.name, g)
			}
			met, err := s.met(ctx, p)
			if err == nil && met != len(allPlaces()) {
				err = fmt.Errorf("%s knows of %d gateways that answer", p.name, met)
			}
			return err
		}); err != nil {
			return err
		}
	}
	_, err := s.agree(ctx, time.Now(), allPlaces()...)
	return err
}

// met tells how many gateways answer one.
func (s *sitesStage) met(ctx context.Context, p place) (n int, err error) {
	var cluster struct{ Members []struct{ State string } }
	err = readJSON(ctx, s.console(p)+"/api/v1/cluster", &cluster)
	for _, m := range cluster.Members {
		if m.State == "alive" {
			n++
		}
	}
	return n, err
}

// decided is what a gateway tells of its decision.
type decided struct {
	Subjects []struct {
		Subject  string
		Opinions []struct{ Site, Health string }
	}
	Holds  []struct{ Subject string }
	Alarms map[string]string
}

func (s *sitesStage) decided(ctx context.Context, p place) (d decided, err error) {
	err = readJSON(ctx, s.console(p)+"/api/v1/failover", &d)
	return d, err
}

// opinion is what a site holds of a subject.
func (d decided) opinion(subject, site string) string {
	for _, o := range d.Subjects {
		if o.Subject == subject {
			for _, o := range o.Opinions {
				if o.Site == site {
					return o.Health
				}
			}
		}
	}
	return ""
}

func (d decided) holds(subject string) bool {
	return slices.ContainsFunc(d.Holds, func(h struct{ Subject string }) bool { return h.Subject == subject })
}

// alarmed tells whether a gateway has an alert with this name, and this site if one is given.
func (s *sitesStage) alarmed(ctx context.Context, p place, name, site string) (bool, error) {
	var all []struct {
		Labels map[string]string
		EndsAt time.Time
	}
	err := readJSON(ctx, s.console(p)+"/alertmanager/api/v2/alerts", &all)
	for _, a := range all {
		if a.Labels["alertname"] == name && (site == "" || a.Labels["site"] == site) {
			return true, err
		}
	}
	return false, err
}
