package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

//go:embed idc/lockkeeper.yaml
var idcConfig []byte

const (
	runs      = 10 // of each way to die
	bareRuns  = 3  // of each, without storage and plugins
	cleanTime = 10 * time.Second
	lifetime  = 2 * time.Second // of an answer: its TTL

	refusedWithin = 800 * time.Millisecond // median
	hungWithin    = 1200 * time.Millisecond

	noneHealthy = "FailoverNoneHealthy"
)

// A death is a way in which an ingress dies and comes back.
type death struct {
	name   string
	within time.Duration // the bound of the median
	die    func(d *demo, name string) error
	revive func(ctx context.Context, d *demo, p proxy) error
}

func deaths() []death {
	return []death{
		{
			"killed", refusedWithin,
			func(d *demo, name string) error { return d.processes.end(name, syscall.SIGKILL) },
			func(ctx context.Context, d *demo, p proxy) error {
				return errors.Join(d.processes.again("envoy-"+p.name()), await(ctx, "Envoy "+p.name(), fmt.Sprintf("http://%s:%d/ready", p.ip, adminPort), 30*time.Second))
			},
		},
		{
			"hung", hungWithin,
			func(d *demo, name string) error { return d.processes.signal(name, syscall.SIGSTOP) },
			func(_ context.Context, d *demo, p proxy) error {
				return d.processes.signal("envoy-"+p.name(), syscall.SIGCONT)
			},
		},
	}
}

// idcRun is what the scene found; result.json has it.
type idcRun struct {
	Alternating map[string]float64   `json:"alternating"`    // share of the answers, all well
	Gone        map[string][]float64 `json:"gone_seconds"`   // from the death to the last answer with the dead address, by how it died
	Median      map[string]float64   `json:"median_seconds"` // of these
	Back        map[string]float64   `json:"back_seconds"`   // from the return to the first answer
	LastFailure map[string]float64   `json:"client_seconds"` // from the death to the end of the last request that failed, at most
	BothDead    map[string]float64   `json:"both_dead"`      // share of the answers
	Canary      map[string]float64   `json:"canary"`         // share of the answers with 1 % asked for IDC 2
	Abort       float64              `json:"abort_seconds"`  // from the first error in a ramp to the answers of before
}

// idcScene runs the scene "idc": the ingress of an IDC dies, and its name stops resolving to it.
func idcScene(ctx context.Context, o options) (err error) {
	b, err := openInbox()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	s := &idcStage{options: o, inbox: b}
	defer func() { err = errors.Join(err, s.close()) }()
	if ctx, err = s.open(ctx); err != nil {
		return err
	}
	for _, act := range []func(context.Context) error{s.alternate, s.die, s.dieBare, s.bothDie, s.shift, s.ramp} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	if err := s.write(); err != nil {
		return err
	}
	s.say("ok")
	return nil
}

func (s *idcStage) alternate(ctx context.Context) (err error) {
	var answers []string
	for range 6 {
		answer, err := dig(ctx)
		if err != nil {
			return err
		}
		answers = append(answers, answer)
	}
	if s.found.Alternating, err = s.shares(ctx, 10_000, 0.5, 0.01); err == nil {
		s.say("dig is answered %s; of 10,000 answers %s", strings.Join(answers, ", "), percents(s.found.Alternating))
	}
	return err
}

// die lets IDC 1 die in both ways, again and again.
func (s *idcStage) die(ctx context.Context) error {
	return s.series(ctx, runs, "", func(context.Context) error { return nil })
}

// dieBare does it once more while the storage and all plugins are dead and stay so.
func (s *idcStage) dieBare(ctx context.Context) error {
	return s.series(ctx, bareRuns, ", all plugins dead", s.killPlugins)
}

// series measures how long a dead address is answered. Each run has a gateway that remembers nothing: it would let an IDC that died a moment ago wait
// longer each time.
func (s *idcStage) series(ctx context.Context, n int, note string, prepare func(context.Context) error) error {
	for _, how := range deaths() {
		name := how.name + note
		var gone []time.Duration
		for i := range n {
			if err := errors.Join(s.fresh(ctx), prepare(ctx)); err != nil {
				return err
			}
			time.Sleep(rand.N(250 * time.Millisecond)) // at any moment between two probes
			took, err := s.once(ctx, how, name, i == 0 && note == "")
			if err != nil {
				return fmt.Errorf("%s, run %d: %w", name, i+1, err)
			}
			gone = append(gone, took)
			s.found.Gone[name] = append(s.found.Gone[name], took.Seconds())
		}
		middle := median(gone)
		s.found.Median[name] = middle.Seconds()
		s.say("ingress of IDC 1 %s, %d runs: its address is answered for %.2f s more (median; all: %s); clients fail for %.2f s at most",
			name, n, middle.Seconds(), seconds(gone), s.found.LastFailure[name])
		if middle > how.within {
			return fmt.Errorf("%s: %v is more than %v", name, middle, how.within)
		}
	}
	return s.restorePlugins()
}

// once lets IDC 1 die, waits until its address is gone and all clients have moved, and lets it live again.
func (s *idcStage) once(ctx context.Context, how death, name string, returns bool) (took time.Duration, err error) {
	victim := twoIDCs()[0].callers[0]
	address := netip.MustParseAddr(victim.ip)
	died := time.Now()
	if err := how.die(s.demo, "envoy-"+victim.name()); err != nil {
		return 0, err
	}
	if took, err = s.watch.gone(ctx, address, died); err != nil {
		return 0, err
	}
	// A resolver may hand out the last answer until its time is over, and a request has a deadline.
	moved := died.Add(took + lifetime + clientDeadline + time.Second)
	time.Sleep(time.Until(moved.Add(500 * time.Millisecond)))
	last, err := s.clients.moved(address, died, moved)
	if err != nil {
		return 0, err
	}
	s.found.LastFailure[name] = max(s.found.LastFailure[name], last.Seconds())
	if err := how.revive(ctx, s.demo, victim); err != nil {
		return 0, err
	}
	if !returns {
		return took, nil
	}
	revived := time.Now()
	back, err := s.watch.back(ctx, address, 6*cleanTime)
	if err == nil && back.Sub(revived) < cleanTime-500*time.Millisecond {
		err = fmt.Errorf("IDC 1 is back after %v, before it was clean for %v", back.Sub(revived), cleanTime)
	}
	s.found.Back[name] = back.Sub(revived).Seconds()
	s.say("%s: gone after %.2f s, back %.1f s after it lives again", name, took.Seconds(), back.Sub(revived).Seconds())
	return took, err
}

// bothDie wants base weights and an alert.
func (s *idcStage) bothDie(ctx context.Context) (err error) {
	if err := s.fresh(ctx); err != nil {
		return err
	}
	how := deaths()[0]
	for _, dc := range twoIDCs() {
		if err := how.die(s.demo, "envoy-"+dc.callers[0].name()); err != nil {
			return err
		}
		time.Sleep(3 * time.Second)
	}
	if s.found.BothDead, err = s.shares(ctx, 10_000, 0.5, 0.01); err != nil {
		return err
	}
	s.say("both dead: of 10,000 answers %s", percents(s.found.BothDead))
	told := []string{noneHealthy}
	if err := until(ctx, groupWait+firesWithin, func() error { return s.inbox.each(told, firing) }); err != nil {
		return err
	}
	s.say("everybody was told of %s", noneHealthy)
	for _, dc := range twoIDCs() {
		if err := how.revive(ctx, s.demo, dc.callers[0]); err != nil {
			return err
		}
	}
	if err := until(ctx, 3*time.Minute, func() error { return s.inbox.each(told, over) }); err != nil {
		return err
	}
	s.say("both live again, and everybody was told so")
	return nil
}

// shares counts answers, of which IDC 1 must have a part.
func (s *idcStage) shares(ctx context.Context, n int, want, within float64) (map[string]float64, error) {
	all, err := share(ctx, nameServer, n)
	if err != nil {
		return nil, err
	}
	of := map[string]float64{}
	for _, dc := range twoIDCs() {
		of[dc.name] = all[netip.MustParseAddr(dc.callers[0].ip)]
	}
	if got := of["idc1"]; math.Abs(got-want) > within || math.Abs(of["idc1"]+of["idc2"]-1) > 1e-9 {
		return nil, fmt.Errorf("of %d answers %s, expected %.1f %% ± %.1f for IDC 1", n, percents(of), 100*want, 100*within)
	}
	return of, nil
}

func percents(of map[string]float64) string {
	return fmt.Sprintf("%.2f %% are IDC 1 and %.2f %% IDC 2", 100*of["idc1"], 100*of["idc2"])
}

func seconds(all []time.Duration) string {
	var text []string
	for _, d := range all {
		text = append(text, fmt.Sprintf("%.2f", d.Seconds()))
	}
	return strings.Join(text, " ")
}

func (s *idcStage) write() error {
	text, err := json.MarshalIndent(s.found, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.dir, "result.json"), append(text, '\n'), 0o644)
}
