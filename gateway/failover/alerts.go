package failover

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lockkeeper/lockkeeper/sdk"
	"github.com/lockkeeper/lockkeeper/xds"
)

const (
	manual = "https://github.com/lockkeeper/lockkeeper/blob/main/gateway/failover/README.md#"

	abortedFor = time.Hour // so long it is told that a shift was aborted, unless another one begins
	mostNamed  = 10        // subjects in the text of an alert
	mostTold   = 3         // of them those whose story it tells
)

// Alerts are all that is wrong now. It is meant to be asked once a second.
func (f *failover) Alerts() []sdk.Alert {
	v, _ := f.board.get()
	if v == nil {
		return nil
	}
	now := time.Now()
	alerts := slices.Concat(v.idcAlerts(), v.outAlerts(*f.loop.stories.now.Load()), v.observeAlerts(), v.dnsAlerts(), v.alarmAlerts(), v.shiftAlerts(now))
	for _, a := range alerts {
		a.Labels["gateway"] = "" // all gateways decide alike: it is told of once, not for each of them
	}
	problem, since, aside := f.keeper.broken(now)
	if problem != "" {
		alerts = append(alerts, alert("FailoverStateBroken", "page", since, "The failover's state is not on disk",
			"It goes on from memory; holds, shifts and ejections made since then would not outlive a restart: "+problem, "what", "disk"))
	}
	if len(aside) > 0 {
		alerts = append(alerts, alert("FailoverStateBroken", "ticket", f.started, "The failover's state could not be read at the start",
			"It has begun with nothing taken out and without holds and shifts. Look at what was put aside, and remove it to end this alert: "+
				strings.Join(aside, ", "), "what", "unreadable"))
	}
	return alerts
}

// alert makes one whose owner is the platform. labels are names and values in turn.
func alert(name, severity string, since time.Time, summary, description string, labels ...string) sdk.Alert {
	a := sdk.Alert{
		Labels:      map[string]string{"alertname": name, "severity": severity, "owner": "platform"},
		Annotations: map[string]string{"summary": summary, "description": description, "runbook_url": manual + strings.ToLower(name)},
		StartsAt:    since.Round(0),
	}
	for pair := range slices.Chunk(labels, 2) {
		if pair[1] != "" {
			a.Labels[pair[0]] = pair[1]
		}
	}
	return a
}

// idcAlerts are one for each side of an IDC that is unhealthy, and what has come of it.
func (v *view) idcAlerts() (alerts []sdk.Alert) {
	for _, subject := range slices.Sorted(maps.Keys(v.decision.Verdict)) {
		verdict := v.decision.Verdict[subject]
		idc, side, ok := splitIDC(subject)
		if !ok || !unhealthy(verdict) {
			continue
		}
		done := "Its traffic was moved: " + weightsText(v.decision.Serving.IDCs, side) + "."
		if !verdict.Out {
			done = "Its traffic was not moved: " + cmp.Or(verdict.Blocked, "nothing asks for it") + "."
		}
		alerts = append(alerts, alert("IdcDead", "page", verdict.Since, fmt.Sprintf("%s of %s is %s", side, idc, verdict.Health),
			verdict.Why+". "+done, "idc", idc, "scope", side))
	}
	return alerts
}

// outAlerts are one for the machines, and one for the endpoints, of each IDC, with the stories of some.
func (v *view) outAlerts(stories map[string]Diagnosis) (alerts []sdk.Alert) {
	type group struct{ kind, idc string }
	groups := map[group][]string{}
	for subject := range v.decision.Serving.Out {
		g := group{Kind(subject), v.decision.Verdict[subject].IDC}
		groups[g] = append(groups[g], subject)
	}
	for g, subjects := range groups {
		slices.Sort(subjects)
		since := v.decision.Serving.Out[subjects[0]].Since
		for _, subject := range subjects {
			if at := v.decision.Serving.Out[subject].Since; at.Before(since) {
				since = at
			}
		}
		name := map[string]string{"machine": "MachineEjected", "endpoint": "EndpointEjected"}[g.kind]
		summary := fmt.Sprintf("Taken out in %s: %d of the %ss", cmp.Or(g.idc, "no IDC"), len(subjects), g.kind)
		description := named(subjects)
		for _, subject := range subjects[:min(len(subjects), mostTold)] {
			description += ".\n" + subject + ": " + v.decision.Serving.Out[subject].Why
			if story, known := stories[subject]; known {
				description += ".\nIts story: " + story.lasting(v.at).String()
			}
		}
		alerts = append(alerts, alert(name, "ticket", since, summary, description, "idc", g.idc))
	}
	slices.SortFunc(alerts, func(a, b sdk.Alert) int {
		return cmp.Or(cmp.Compare(a.Labels["alertname"], b.Labels["alertname"]), cmp.Compare(a.Labels["idc"], b.Labels["idc"]))
	})
	return alerts
}

// observeAlerts tells what is not done because of mode observe.
func (v *view) observeAlerts() []sdk.Alert {
	served, would := &v.decision.Serving, &v.decision.Would
	var subjects []string
	for subject := range would.Out {
		if _, out := served.Out[subject]; !out {
			subjects = append(subjects, subject)
		}
	}
	slices.Sort(subjects)
	var what []string
	since := v.at
	for _, subject := range subjects {
		if at := would.Out[subject].Since; !at.IsZero() && at.Before(since) {
			since = at
		}
	}
	if len(subjects) > 0 {
		what = append(what, "would take out "+named(subjects))
	}
	for _, side := range []string{"entry", "mesh"} {
		if asked := weightsText(would.IDCs, side); asked != weightsText(served.IDCs, side) {
			what = append(what, "would give weights at the "+side+" of "+asked)
			since = v.unhealthySince(since)
		}
	}
	if len(what) == 0 {
		return nil
	}
	return []sdk.Alert{alert("FailoverObserve", "ticket", since, "Failover only observes, and would act",
		"Lockkeeper "+strings.Join(what, ", and ")+". It does not, since its mode is observe.")}
}

// unhealthySince is when the first of the IDCs that are unhealthy became so, if that was before t.
func (v *view) unhealthySince(t time.Time) time.Time {
	for subject, verdict := range v.decision.Verdict {
		if _, _, ok := splitIDC(subject); ok && unhealthy(verdict) && verdict.Since.Before(t) {
			t = verdict.Since
		}
	}
	return t
}

func (v *view) dnsAlerts() (alerts []sdk.Alert) {
	for _, subject := range slices.Sorted(maps.Keys(v.decision.Verdict)) {
		if verdict := v.decision.Verdict[subject]; Kind(subject) == kindDNS && unhealthy(verdict) {
			alerts = append(alerts, alert("DnsAnswersDiffer", "page", verdict.Since, subject+" does not answer what is served", verdict.Why, "subject", subject))
		}
	}
	return alerts
}

// alarmAlerts are the alarms of the decision itself: FailoverNoneHealthy of none_healthy.
func (v *view) alarmAlerts() (alerts []sdk.Alert) {
	for _, name := range slices.Sorted(maps.Keys(v.decision.Alarms)) {
		severity := "page"
		if slices.Contains([]string{"budget", "rate", "disagree", "rules_differ"}, name) {
			severity = "ticket"
		}
		title := strings.ReplaceAll(name, "_", " ")
		alerts = append(alerts, alert(alarmName(name), severity, v.alarms[name], "Failover: "+title, v.decision.Alarms[name]))
	}
	return alerts
}

// alarmName is the alert of an alarm; what stands behind a colon or a slash is not part of it.
func alarmName(alarm string) string {
	name := "Failover"
	alarm, _, _ = strings.Cut(strings.ReplaceAll(alarm, ":", "/"), "/")
	for word := range strings.SplitSeq(alarm, "_") {
		if word != "" {
			name += strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return name
}

func (v *view) shiftAlerts(now time.Time) []sdk.Alert {
	if v.aborted.id == "" || now.Sub(v.aborted.at) > abortedFor {
		return nil
	}
	return []sdk.Alert{alert("ShiftAborted", "ticket", v.aborted.at, "A shift of traffic was aborted",
		v.aborted.id+": "+v.aborted.why+". Entry weights are now "+weightsText(v.decision.Serving.IDCs, "entry")+".")}
}

func unhealthy(v Verdict) bool { return v.Health == Dead || v.Health == Gray }

// weightsText writes one side's weights for people: "idc1 0 %, idc2 100 %".
func weightsText(idcs map[string]xds.IDC, side string) string {
	weights := make(map[string]uint32, len(idcs))
	for name, idc := range idcs {
		weights[name] = idc.Entry
		if side == "mesh" {
			weights[name] = idc.Mesh
		}
	}
	return percents(weights)
}

// named names some, and counts the others.
func named(subjects []string) string {
	if over := len(subjects) - mostNamed; over > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(subjects[:mostNamed], ", "), over)
	}
	return strings.Join(subjects, ", ")
}
