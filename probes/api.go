package probes

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
)

const (
	machinesShown = 200 // machines that are listed as down
	errorShown    = 300 // bytes of what a probe says
)

// mux is what the receiver needs of an extension that serves HTTP: the console.
type mux interface {
	Handle(pattern string, handler http.Handler)
}

// shown is the answer of /api/v1/probes.
type shown struct {
	At       string        `json:"at"`
	Targets  []shownTarget `json:"targets"` // those of the configuration
	Machines shownMachines `json:"machines"`
}

type shownTarget struct {
	Name     string        `json:"name"` // as evidence has it: module, target and address
	Subject  string        `json:"subject"`
	IDC      string        `json:"idc"`
	Module   string        `json:"module"`
	Prober   string        `json:"prober"`
	Target   string        `json:"target"`
	Address  string        `json:"address"`
	Observer string        `json:"observer"` // the gateway that probes
	Interval float64       `json:"interval_seconds"`
	Success  *bool         `json:"success,omitempty"` // of the last probe; nil: nothing is known now
	Since    *time.Time    `json:"since,omitempty"`   // when success became what it is
	Last     *time.Time    `json:"at,omitempty"`      // when the last probe began
	Duration float64       `json:"duration_ms"`
	Error    string        `json:"error"`
	Minutes  []shownMinute `json:"minutes"` // with a result, of the last ten, oldest first
}

type shownMinute struct {
	At  time.Time `json:"at"` // its beginning
	OK  int32     `json:"ok"`
	Bad int32     `json:"bad"`
	P50 float32   `json:"p50_ms"` // of those that were well
}

// shownMachines are all subjects machine/NAME, whoever names them.
type shownMachines struct {
	Total     int            `json:"total"`
	Answering int            `json:"answering"` // the last of each of its probes was well
	Down      []shownMachine `json:"down"`      // those last that went down first; what is beyond machinesShown is left out
}

type shownMachine struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	Error string    `json:"error"`
}

// serve hangs the API into the console. A receiver with a name, as there may be several, has a path of its own.
func (r *probesReceiver) serve(console mux) {
	path := "/api/v1/probes"
	if name := r.set.ID.Name(); name != "" {
		if !isName(name) {
			return
		}
		path += "/" + name
	}
	console.Handle("GET "+path, http.HandlerFunc(r.show))
}

// show answers GET /api/v1/probes.
func (r *probesReceiver) show(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(r.engine.shown(r.config.Targets, time.Now())); err != nil {
		r.set.Logger.Debug("an answer was not taken", zap.Error(err))
	}
}

// shown tells of some of the targets each, and of all machines together.
func (e *engine) shown(targets []Target, now time.Time) *shown {
	all := &shown{At: now.UTC().Format("2006-01-02T15:04:05.000Z"), Targets: []shownTarget{}}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range targets {
		if w := e.watched[e.targets[t]]; w != nil {
			all.Targets = append(all.Targets, e.shownTarget(w, now))
		}
	}
	all.Machines = shownMachines{Down: []shownMachine{}}
	worst := map[string]*watched{} // of each machine
	for _, w := range e.watched {
		name, machine := strings.CutPrefix(w.target.Subject, "machine/")
		if !machine {
			continue
		}
		before := worst[name]
		if before == nil || w.standing(now) < before.standing(now) {
			worst[name] = w
		}
	}
	all.Machines.Total = len(worst)
	for name, w := range worst {
		switch w.standing(now) {
		case nowWell:
			all.Machines.Answering++
		case nowBad:
			all.Machines.Down = append(all.Machines.Down, shownMachine{name, w.history.since.UTC(), w.last.words()})
		}
	}
	slices.SortFunc(all.Machines.Down, func(x, y shownMachine) int {
		return cmp.Or(y.Since.Compare(x.Since), strings.Compare(x.Name, y.Name))
	})
	all.Machines.Down = all.Machines.Down[:min(len(all.Machines.Down), machinesShown)]
	return all
}

func (e *engine) shownTarget(w *watched, now time.Time) shownTarget {
	t := w.target
	s := shownTarget{
		Name: w.evidence.Probe, Subject: t.Subject, IDC: w.evidence.IDC, Module: t.Module, Prober: e.modules[t.Module].Prober, Target: t.Target,
		Address: t.Address, Observer: e.gateway, Interval: t.Interval.Seconds(), Minutes: []shownMinute{},
	}
	if w.standing(now) != nowUnknown {
		ok, at, since := w.last.OK, w.at.UTC(), w.history.since.UTC() // copies: the answer is written later
		s.Success, s.Last, s.Since, s.Duration, s.Error = &ok, &at, &since, float64(w.last.Took.Microseconds())/1000, w.last.words()
	}
	for _, m := range w.history.last(now) {
		s.Minutes = append(s.Minutes, shownMinute{time.Unix(int64(m.number)*60, 0).UTC(), m.ok, m.bad, m.p50})
	}
	return s
}

// standing is what the last probe of a target says now, the worst first.
type standing int

const (
	nowBad standing = iota
	nowUnknown
	nowWell
)

func (w *watched) standing(now time.Time) standing {
	switch {
	case w.at.IsZero() || now.Sub(w.at) > w.target.next(w.timeout):
		return nowUnknown
	case w.last.OK:
		return nowWell
	}
	return nowBad
}

// words say why a probe failed, as far as they are shown. They may be those of the other side.
func (r *Result) words() string {
	text := r.Reason
	if r.Err != nil {
		text = "it could not be made: " + r.Err.Error()
	}
	text = strings.ToValidUTF8(text, "�")
	if len(text) <= errorShown {
		return text
	}
	end := errorShown
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
