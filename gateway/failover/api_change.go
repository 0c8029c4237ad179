package failover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	longestHold     = 24 * time.Hour
	longestLongHold = 30 * 24 * time.Hour // by an admin
	mostBody        = 64 << 10            // bytes of a request
	mostWhy         = 500                 // characters of a reason
	mostHolds       = 10_000
)

// refusal is an error with a status of HTTP.
type refusal struct {
	code int
	error
}

func (r refusal) Unwrap() error { return r.error }

// holdRequest is the body of POST /api/v1/failover/hold.
type holdRequest struct {
	Subject string `json:"subject"` // "*" with restore: all that is out or unhealthy
	Action  Action `json:"action"`
	For     string `json:"for"`
	Hard    bool   `json:"hard"`
	Why     string `json:"why"`
}

// changed is the answer to a change: what holds now, and whether it would outlive a restart.
type changed struct {
	Holds    []Hold          `json:"holds,omitempty"`    // that were made
	Replaced []Hold          `json:"replaced,omitempty"` // that those took the place of
	Released []Hold          `json:"released,omitempty"` // that ended
	Plan     json.RawMessage `json:"plan,omitempty"`
	Warnings []string        `json:"warnings,omitempty"` // of a plan: what speaks against it
	Saved    bool            `json:"saved"`
	Problem  string          `json:"problem,omitempty"` // why it is not saved
}

// holder serves POST /api/v1/failover/hold.
func (f *failover) holder(longest time.Duration) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, r *http.Request, who string) {
		_, dry, err := dryRun(r)
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		var request holdRequest
		if !read(w, r, &request) {
			return
		}
		h, err := request.parse(who, longest)
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		var c changed
		f.answerChange(w, r, &c, dry, func(now time.Time) (err error) {
			if c.Holds, c.Replaced, err = f.loop.wanted(h, h.Until.Sub(h.At), now); err == nil && !dry {
				_, err = f.loop.hold(h, h.Until.Sub(h.At), now)
			}
			return err
		})
	}
}

// dryRun reads the parameters of a change, of which dry_run is one: the answer tells what would be, and nothing is done.
func dryRun(r *http.Request, known ...string) (query url.Values, dry bool, err error) {
	query, err = parameters(r, append(known, "dry_run")...)
	if err == nil && query.Has("dry_run") {
		if dry, err = strconv.ParseBool(query.Get("dry_run")); err != nil {
			err = fmt.Errorf("dry_run: %q is neither true nor false", query.Get("dry_run"))
		}
	}
	return query, dry, err
}

// parse reports all mistakes at once.
func (r *holdRequest) parse(who string, longest time.Duration) (Hold, error) {
	var errs []error
	if r.Subject == "" {
		errs = append(errs, errors.New("subject: missing: such as machine/NAME or idc/NAME/entry"))
	}
	switch r.Action {
	case Keep, Eject, Restore:
	default:
		errs = append(errs, fmt.Errorf("action: %q is none of hold, eject, restore", r.Action))
	}
	if r.Subject == "*" && r.Action != Restore {
		errs = append(errs, errors.New("subject: all at once can only be restored"))
	}
	if len([]rune(r.Why)) > mostWhy {
		errs = append(errs, fmt.Errorf("why: more than %d characters", mostWhy))
	}
	d, err := time.ParseDuration(r.For)
	switch {
	case r.For == "":
		errs = append(errs, errors.New("for: missing: a hold always ends: say when, such as 30m"))
	case err != nil || d <= 0:
		errs = append(errs, fmt.Errorf("for: %q is not a time like 30m", r.For))
	case d > longest && longest == longestHold:
		errs = append(errs, fmt.Errorf("for: %s is longer than %s: only an admin may hold longer, by /api/v1/failover/hold/long", r.For, longest))
	case d > longest:
		errs = append(errs, fmt.Errorf("for: %s is longer than %s", r.For, longest))
	}
	if Kind(r.Subject) == kindDNS {
		errs = append(errs, fmt.Errorf("subject: %q: answers of DNS servers only alert: there is nothing to hold", r.Subject))
	}
	now := time.Now()
	return Hold{Subject: r.Subject, Action: r.Action, Hard: r.Hard, By: who, Why: r.Why, At: now, Until: now.Add(d)}, errors.Join(errs...)
}

// wanted are the holds that are asked for, of one subject or of all that are out or unhealthy, and those that they replace.
func (l *loop) wanted(h Hold, lasts time.Duration, now time.Time) (made, replaced []Hold, err error) {
	subjects := []string{h.Subject}
	if h.Subject == "*" {
		subjects = l.decision.restorable()
	} else if err := l.knows(h.Subject); err != nil {
		return nil, nil, refusal{http.StatusNotFound, err}
	}
	if len(l.holds)+len(subjects) > mostHolds {
		return nil, nil, refusal{http.StatusConflict, fmt.Errorf("there are %d holds, more than %d there cannot be: end some", len(l.holds), mostHolds)}
	}
	h.At, h.Until = now, now.Add(lasts)
	for _, name := range subjects {
		h.Subject, h.Kept = name, h.Action == Keep && l.decision.Verdict[name].Out
		made = append(made, h)
	}
	replaced = l.held(func(o Hold) bool { return slices.Contains(subjects, o.Subject) })
	return made, replaced, nil
}

// hold makes a hold of one subject, or of all that are out or unhealthy. One that was there before it replaces.
func (l *loop) hold(h Hold, lasts time.Duration, now time.Time) (made []Hold, err error) {
	made, replaced, err := l.wanted(h, lasts, now)
	for _, h := range made {
		e := Event{At: now, Kind: "hold", Subject: h.Subject, What: holdText(h), Why: h.Why, Who: h.By, Expires: h.Until}
		same := func(o Hold) bool { return o.Subject == h.Subject }
		if i := slices.IndexFunc(replaced, same); i >= 0 {
			e.Undoes = holdText(replaced[i])
		}
		l.drop(same)
		l.holds = append(l.holds, h)
		l.note([]Event{e})
	}
	return made, err
}

// held are the holds of which which says so.
func (l *loop) held(which func(Hold) bool) (held []Hold) {
	return slices.DeleteFunc(slices.Clone(l.holds), func(h Hold) bool { return !which(h) })
}

// restorable is all that is out or unhealthy, sorted.
func (d *Decision) restorable() (subjects []string) {
	for name, v := range d.Verdict {
		if Kind(name) != kindDNS && (v.Out || unhealthy(v)) {
			subjects = append(subjects, name)
		}
	}
	slices.Sort(subjects)
	return subjects
}

// drop ends holds.
func (l *loop) drop(which func(Hold) bool) { l.holds = slices.DeleteFunc(slices.Clone(l.holds), which) }

// release serves DELETE /api/v1/failover/hold?subject=: the subject is the gateway's business again; "*" are all.
func (f *failover) release(w http.ResponseWriter, r *http.Request, who string) {
	query, dry, err := dryRun(r, "subject", "why")
	subject, why := query.Get("subject"), query.Get("why")
	if err == nil && subject == "" {
		err = errors.New("subject: missing: which hold is to end? * ends all")
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	var c changed
	f.answerChange(w, r, &c, dry, func(now time.Time) error {
		asked := func(h Hold) bool { return subject == "*" || h.Subject == subject }
		if c.Released = f.loop.held(asked); len(c.Released) == 0 && subject != "*" {
			return refusal{http.StatusNotFound, fmt.Errorf("there is no hold of %q: `lockkeeper failover list` shows them", subject)}
		}
		if dry {
			return nil
		}
		f.loop.drop(asked)
		for _, h := range c.Released {
			f.loop.note([]Event{{At: now, Kind: "hold", Subject: h.Subject, What: "released", Why: why, Who: who, Undoes: holdText(h)}})
		}
		return nil
	})
}

// answerChange does in the loop what was asked for, and tells what came of it: whether it would outlive a restart, too. A dry run changes nothing.
func (f *failover) answerChange(w http.ResponseWriter, r *http.Request, c *changed, dry bool, do func(now time.Time) error) {
	err := f.loop.ask(r.Context(), dry, do)
	var refused refusal
	switch {
	case errors.As(err, &refused):
		refuse(w, refused.code, err)
		return
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, err)
		return
	case dry:
		answer(w, http.StatusOK, c)
		return
	}
	if unsaved := f.keeper.settled(r.Context()); unsaved != nil {
		c.Problem = "it holds, but is not on disk: " + unsaved.Error()
	}
	c.Saved = c.Problem == ""
	answer(w, http.StatusOK, c)
}

// read takes a body strictly; false: it was refused.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostBody))
	in.DisallowUnknownFields()
	err := in.Decode(into)
	if err == nil {
		if _, end := in.Token(); !errors.Is(end, io.EOF) {
			err = errors.New("there is more behind its end")
		}
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		refuse(w, http.StatusRequestEntityTooLarge, fmt.Errorf("the body has more than %d bytes", mostBody))
		return false
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf("the body is not what is asked for: %s", strings.TrimPrefix(err.Error(), "json: ")))
	}
	return err == nil
}

// holdText says what a hold is, for people.
func holdText(h Hold) string {
	hard := ""
	if h.Hard {
		hard = "hard "
	}
	return fmt.Sprintf("%s%s by %s until %s", hard, h.Action, h.By, h.Until.UTC().Format(time.RFC3339))
}
