package failover

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
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
	_, dry, err := dryRun(r)
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
	var c changed
	f.answerChange(w, r, &c, dry, func(now time.Time) error {
		l := f.loop
		if c.Warnings = plan.warnings(l.decision.Verdict); dry {
			c.Plan = l.text(plan)
			return nil
		}
		if l.plan.Active() && !request.Replace {
			return refusal{http.StatusConflict, fmt.Errorf("%s of %s is under way: abort it, or say that this one replaces it (--replace; in JSON replace: true)", l.plan.ID, l.plan.By)}
		}
		l.note(plan.Succeed(now, l.plan))
		l.plan = plan
		c.Plan = l.planText()
		return nil
	})
}

// abortShift serves DELETE /api/v1/failover/shift.
func (f *failover) abortShift(w http.ResponseWriter, r *http.Request, who string) {
	query, dry, err := dryRun(r, "why")
	if err == nil && len([]rune(query.Get("why"))) > mostWhy {
		err = fmt.Errorf("why: more than %d characters", mostWhy)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	var c changed
	f.answerChange(w, r, &c, dry, func(now time.Time) error {
		l := f.loop
		if !l.plan.Active() && (l.plan == nil || l.plan.Before == nil) {
			return refusal{http.StatusNotFound, errors.New("no shift is under way")}
		}
		if !dry {
			l.note(l.plan.Abort(now, who, query.Get("why")))
		}
		c.Plan = l.planText()
		return nil
	})
}
