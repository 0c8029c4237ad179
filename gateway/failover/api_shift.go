package failover

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// shiftStatus is the answer to GET /api/v1/failover/shift.
type shiftStatus struct {
	Plan   json.RawMessage `json:"plan"` // null: there was none
	Active bool            `json:"active"`
	Entry  []Measured      `json:"entry"` // asked and measured
}

// getShift serves GET /api/v1/failover/shift: the last plan, what is asked for, and what really enters each IDC.
func (f *failover) getShift(w http.ResponseWriter, r *http.Request) {
	if _, err := parameters(r); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	var s shiftStatus
	err := f.loop.look(r.Context(), func(now time.Time) {
		asked := f.loop.plan.Shift(now).Entry
		if asked == nil {
			asked = f.loop.rules.Base()
		}
		s = shiftStatus{Plan: f.loop.planText(), Active: f.loop.plan.Active(), Entry: orEmpty(f.loop.share.Report(now, asked))}
	})
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, err)
		return
	}
	answer(w, http.StatusOK, s)
}

// shift serves POST /api/v1/failover/shift; with ?dry_run=1 it answers with the plan and does nothing.
func (f *failover) shift(w http.ResponseWriter, r *http.Request, who string) {
	query, err := parameters(r, "dry_run")
	dry := false
	if err == nil && query.Has("dry_run") {
		if dry, err = strconv.ParseBool(query.Get("dry_run")); err != nil {
			err = fmt.Errorf("dry_run: %q is neither true nor false", query.Get("dry_run"))
		}
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	var request PlanRequest
	if !read(w, r, &request) {
		return
	}
	plan, err := ParsePlan(request, f.rules, f.shared.time().at(time.Now()))
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	plan.By = who
	if dry {
		f.dryRun(w, r, plan)
		return
	}
	var begun json.RawMessage
	var warnings []string
	err = f.loop.ask(r.Context(), func(now time.Time) error {
		l := f.loop
		if l.plan.Active() && !request.Replace {
			return refusal{http.StatusConflict, fmt.Errorf("%s of %s is under way: abort it, or say that this one replaces it (--replace; in JSON replace: true)", l.plan.ID, l.plan.By)}
		}
		l.note(plan.Succeed(now, l.plan))
		l.plan = plan
		begun, warnings = l.planText(), plan.warnings(l.decision.Verdict)
		return nil
	})
	f.answerChange(w, r, changed{Plan: begun, Warnings: warnings}, err)
}

// dryRun answers what would be, as if the plan began now.
func (f *failover) dryRun(w http.ResponseWriter, r *http.Request, plan *Plan) {
	var warnings []string
	err := f.loop.look(r.Context(), func(time.Time) { warnings = plan.warnings(f.loop.decision.Verdict) })
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, err)
		return
	}
	answer(w, http.StatusOK, struct {
		Plan     *Plan    `json:"plan"`
		Warnings []string `json:"warnings,omitempty"`
	}{plan, warnings})
}

// abortShift serves DELETE /api/v1/failover/shift.
func (f *failover) abortShift(w http.ResponseWriter, r *http.Request, who string) {
	query, err := parameters(r, "why")
	if err == nil && len([]rune(query.Get("why"))) > mostWhy {
		err = fmt.Errorf("why: more than %d characters", mostWhy)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	var ended json.RawMessage
	err = f.loop.ask(r.Context(), func(now time.Time) error {
		events := f.loop.plan.Abort(now, who, query.Get("why"))
		if len(events) == 0 {
			return refusal{http.StatusNotFound, errors.New("no shift is under way")}
		}
		f.loop.note(events)
		ended = f.loop.planText()
		return nil
	})
	f.answerChange(w, r, changed{Plan: ended}, err)
}
