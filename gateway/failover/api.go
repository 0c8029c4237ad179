package failover

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const longestWait = 50 * time.Second // of a long poll: the console gives an answer a minute

// serve hangs the HTTP API into the console.
func (f *failover) serve(console mux) {
	console.Handle("GET /api/v1/failover", http.HandlerFunc(f.getFailover))
	console.Handle("GET /api/v1/serving", http.HandlerFunc(f.getServing))
	console.Handle("GET /api/v1/events", http.HandlerFunc(f.getEvents))
	console.Handle("GET /api/v1/failover/shift", http.HandlerFunc(f.getShift))
	console.HandlePush("operator", "POST /api/v1/failover/hold", f.holder(longestHold))
	console.HandlePush("admin", "POST /api/v1/failover/hold/long", f.holder(longestLongHold))
	console.HandlePush("operator", "DELETE /api/v1/failover/hold", f.release)
	console.HandlePush("operator", "POST /api/v1/failover/shift", f.shift)
	console.HandlePush("operator", "DELETE /api/v1/failover/shift", f.abortShift)
}

// listed is a subject in the answer to GET /api/v1/failover.
type listed struct {
	Subject string `json:"subject"`
	Kind    string `json:"kind"`
	Act     bool   `json:"act"` // mode act
	Verdict
	Health   string    `json:"health"` // never empty
	Opinions []Opinion `json:"opinions,omitempty"`
	Held     *Hold     `json:"held,omitempty"`
	WouldOut bool      `json:"would_out,omitempty"` // it were out in mode act
}

// status is the answer to GET /api/v1/failover.
type status struct {
	At       time.Time         `json:"at"`
	Serving  any               `json:"serving"`
	Would    any               `json:"would"`
	Subjects []listed          `json:"subjects"`
	LeftOut  []leftOut         `json:"subjects_left_out,omitempty"`
	Holds    []Hold            `json:"holds"`
	Frozen   map[string]Freeze `json:"frozen"`
	Alarms   map[string]string `json:"alarms"`
	Shift    Shift             `json:"shift"`           // what is asked for now
	State    string            `json:"state,omitempty"` // what is wrong with the state on disk
}

// getFailover serves GET /api/v1/failover: all that is held of the subjects whose names begin with ?subject= and that have the words of ?find=; with
// ?worst=N of the N worst, and how many others there are.
func (f *failover) getFailover(w http.ResponseWriter, r *http.Request) {
	query, err := parameters(r, "subject", "find", "worst")
	var want wanted
	if err == nil {
		want, err = parseWanted(query)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	v := f.view(w)
	if v == nil {
		return
	}
	problem, _, aside := f.keeper.broken(time.Now())
	if problem == "" && len(aside) > 0 {
		problem = "could not be read at the start: " + strings.Join(aside, ", ")
	}
	list, rest := want.cut(f.subjects(v, &want))
	s := status{
		At: v.at, Serving: v.decision.Serving, Would: v.decision.Would, Subjects: list, LeftOut: rest, Holds: orEmpty(v.holds),
		Frozen: orNone(v.decision.Frozen), Alarms: orNone(v.decision.Alarms), Shift: v.asked, State: problem,
	}
	if len(rest) > 0 {
		s.Serving, s.Would = among(v.decision.Serving, list), among(v.decision.Would, list)
	}
	answer(w, http.StatusOK, s)
}

// subjects lists all that are wanted and that anything is held of, sorted.
func (f *failover) subjects(v *view, want *wanted) []listed {
	opinions, holds := map[string][]Opinion{}, map[string]*Hold{}
	for _, o := range v.opinions {
		opinions[o.Subject] = append(opinions[o.Subject], o)
	}
	for i := range v.holds {
		holds[v.holds[i].Subject] = &v.holds[i]
	}
	names := slices.Collect(maps.Keys(v.decision.Verdict))
	for name := range holds {
		if _, known := v.decision.Verdict[name]; !known {
			names = append(names, name)
		}
	}
	list := []listed{}
	for _, name := range names {
		verdict := v.decision.Verdict[name]
		if !want.takes(name, &verdict) {
			continue
		}
		_, would := v.decision.Would.Out[name]
		list = append(list, listed{
			Subject: name, Kind: Kind(name), Act: f.rules.Act[Kind(name)], Verdict: verdict, Health: verdict.Health.word(),
			Opinions: opinions[name], Held: holds[name], WouldOut: would,
		})
	}
	slices.SortFunc(list, func(a, b listed) int { return cmp.Compare(a.Subject, b.Subject) })
	return list
}

// getServing serves GET /api/v1/serving. With ?version=N&wait=30s it answers when there is a version after N, or when the time is over.
func (f *failover) getServing(w http.ResponseWriter, r *http.Request) {
	query, err := parameters(r, "version", "wait")
	var version uint64
	var wait time.Duration
	if err == nil && query.Has("version") {
		if version, err = strconv.ParseUint(query.Get("version"), 10, 64); err != nil {
			err = fmt.Errorf("version: %q is no version: it is a number", query.Get("version"))
		}
	}
	if err == nil && query.Has("wait") {
		wait, err = time.ParseDuration(query.Get("wait"))
		if err != nil || wait < 0 || wait > longestWait {
			err = fmt.Errorf("wait: %q: must be a time from 0s to %s, such as 30s", query.Get("wait"), longestWait)
		}
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		v, changed := f.board.get()
		if v != nil && v.decision.Serving.Version > version {
			answer(w, http.StatusOK, v.decision.Serving)
			return
		}
		select {
		case <-changed:
			continue
		case <-over.C:
		case <-f.readers.done:
		case <-r.Context().Done():
			return
		}
		if v = f.view(w); v != nil {
			answer(w, http.StatusOK, v.decision.Serving)
		}
		return
	}
}

// view is the newest; nil before the first one, which is answered then.
func (f *failover) view(w http.ResponseWriter) *view {
	v, _ := f.board.get()
	if v == nil {
		refuse(w, http.StatusServiceUnavailable, errors.New("failover is starting: ask again in a second"))
	}
	return v
}

// parameters reads a request's; an unknown one is a mistake.
func parameters(r *http.Request, known ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("the parameters: %w", err)
	}
	for name := range query {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%s: unknown parameter: there are %s", name, strings.Join(known, ", "))
		}
	}
	return query, nil
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	_ = out.Encode(body) // fails when the client is gone
}

func refuse(w http.ResponseWriter, code int, err error) {
	answer(w, code, map[string]string{"error": err.Error()})
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func orNone[T any](m map[string]T) map[string]T {
	if m == nil {
		return map[string]T{}
	}
	return m
}
