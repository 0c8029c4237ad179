package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// plugins looks at processes, versions, queues, and at what rules need.
func (d *doctor) plugins(p *pluginsState) {
	queryable, evaluating := false, []string{}
	for i := range p.Plugins {
		x := &p.Plugins[i]
		queryable = queryable || x.Kind == "storage" && x.QueryURL != "" && (len(x.Signals) == 0 || slices.Contains(x.Signals, "metrics"))
		if x.Kind == "alerting" {
			evaluating = append(evaluating, x.Name)
		}
		d.plugin(x)
		for j := range x.Queues {
			d.queue(x, &x.Queues[j])
		}
	}
	if len(evaluating) > 0 && !queryable {
		d.add(levelError, "rules", strings.Join(evaluating, ", "), "no rules are evaluated: no storage plugin for metrics has told where to query",
			"cure the storage plugin first; a configuration without one that has a query API (storage-victoriametrics has) cannot evaluate rules")
	}
}

func (d *doctor) plugin(x *listed) {
	logs := fmt.Sprintf("`lockkeeper plugin logs %s` shows what it says", x.Name)
	key := "extensions::plugins::processes::" + x.Name
	evidence := fmt.Sprintf("is not healthy (%s, %d restarts): %s", x.State, x.Restarts, cmp.Or(x.LastError, "it says no reason"))
	switch {
	case x.Healthy && x.BinaryChanged:
		d.add(levelWarn, "plugin_binary", x.Name, "the binary on disk is another than the one that runs",
			"reload the gateway (SIGHUP) to run the new one, or put the old one back; `lockkeeper plugin verify` shows its sha256")
	case x.Healthy && x.MemoryLimitBytes > 0 && 10*x.MemoryBytes > 9*x.MemoryLimitBytes:
		d.add(levelWarn, "plugin_memory", x.Name, "uses "+x.memory()+": at the limit it is killed", "raise "+key+"::memory_limit, or give it less to keep")
	case x.Healthy:
	case strings.Contains(x.LastError, "sha256 of"):
		d.add(levelError, "plugin_pin", x.Name, evidence, "put the pinned binary back, or, if the new one is wanted, its sha256 (`lockkeeper plugin verify` prints it) into "+key+"::sha256")
	case strings.Contains(x.LastError, "speaks protocol"):
		d.add(levelError, "plugin_protocol", x.Name, evidence, "take gateway and plugins of one release; build own plugins with its SDK (`lockkeeper plugin test BINARY` tells)")
	case x.Kind == "alerting":
		d.add(levelError, "rules", x.Name, "rules are not evaluated as they should be: it "+evidence, logs+"; mistakes in rule files, and a storage that does not answer, are the usual causes")
	case x.Address != "":
		d.add(levelError, "plugin", x.Name, "at "+x.Address+" "+evidence, "start the server there; "+key+"::address and ::tls say where and how it is reached")
	default:
		d.add(levelError, "plugin", x.Name, evidence, logs)
	}
}

// queue looks at what waits for a plugin.
func (d *doctor) queue(x *listed, q *waiting) {
	if !q.filling() {
		return
	}
	level := levelWarn
	if 10*q.Size >= 9*q.Capacity {
		level = levelError
	}
	d.add(level, "queue", q.Exporter, fmt.Sprintf("the queue of %s for %s is %s; what finds it full is lost", q.Signal, x.Name, q.text()),
		fmt.Sprintf("see why %s takes nothing (`lockkeeper plugin logs %[1]s`); more room: exporters::%s::sending_queue::queue_size", x.Name, q.Exporter))
}

// probes looks at who is probed, and whether that leads to a verdict.
func (d *doctor) probes(p *probesState, f *failoverState) {
	if p == nil {
		p = &probesState{}
	}
	probed := map[string]bool{}
	for i := range p.Targets {
		t := &p.Targets[i]
		probed[t.Subject] = true
		switch name := cmp.Or(t.Subject, t.Name, t.Target); {
		case t.Success == nil && len(t.Minutes) > 0:
			d.add(levelWarn, "probe_stuck", name, "had results, and has none any more", "the gateway's log says what hinders the probes of module "+t.Module+"; so do lockkeeper_probe_errors_total and lockkeeper_probe_dropped_total")
		case strings.HasPrefix(t.Error, "it could not be made:"):
			d.add(levelWarn, "probe_hindered", name, t.Error+": that says nothing of the target, and makes no verdict",
				"give this machine what it lacks (a route, a resolver that answers, file descriptors); a target with an address needs no resolver")
		}
	}
	if f == nil {
		return
	}
	for i := range f.Subjects {
		x := &f.Subjects[i]
		probed[x.Subject] = true
		idle := strings.HasPrefix(x.Subject, "endpoint/") // judged by its traffic alone: nobody calls it, and it may be gone
		if x.Health == "unknown" && !idle && time.Since(x.Since) > time.Minute {
			d.add(levelWarn, "no_verdict", x.Subject, "has no verdict: "+cmp.Or(x.Why, "nobody says anything of it"),
				"a probe that tells of it (receivers::probes::targets, with this subject) must run here, or at as many sites as make a quorum: `lockkeeper cluster` shows who answers")
		}
	}
	for _, subject := range slices.Sorted(maps.Keys(probed)) {
		idc, ok := entryOf(subject)
		if _, known := f.Serving.IDCs[idc]; ok && !known {
			d.add(levelError, "probe_without_idc", subject, fmt.Sprintf("is probed, and failover knows no IDC %q: its verdict moves nothing", idc),
				"name it in extensions::failover::idcs, or correct receivers::probes::targets::…::subject")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Serving.IDCs)) {
		if entry := "idc/" + name + "/entry"; !probed[entry] && !probed["idc/"+name+"/mesh"] {
			d.add(levelWarn, "no_verdict", entry, "nothing probes it: whatever happens to "+name+", no traffic is moved",
				fmt.Sprintf("add {module: http, target: \"https://…\", address: \"IP:PORT\", subject: %s} to receivers::probes::targets", entry))
		}
	}
}

// entryOf is the IDC of a subject idc/NAME/….
func entryOf(subject string) (idc string, ok bool) {
	rest, ok := strings.CutPrefix(subject, "idc/")
	idc, _, _ = strings.Cut(rest, "/")
	return idc, ok
}

// failover looks at what hinders decisions. Who is ill is for status to tell.
func (d *doctor) failover(f *failoverState) {
	if f == nil {
		return
	}
	cures := map[string]string{
		"abstain":      "look at that observer's own network first: it sees all IDCs down at once",
		"quorum":       "see that probes of it run at enough sites, and that those answer: `lockkeeper cluster`, `lockkeeper failover list --all idc/`",
		"disagree":     "look at the network between the sites that do not see it and it",
		"rules_differ": "make extensions::failover the same on all gateways but for data_directory, and reload them",
		"clock":        "set the clocks of the gateways (chrony, NTP), and restart the one whose clock was wrong",
		"freeze":       "look for what those that went down at once share; `lockkeeper failover eject` takes out what is really dead",
		"none_healthy": "look at the IDCs, then at the network of this gateway",
		"capacity":     "add capacity or shed load, or raise extensions::failover::idcs::…::capacity_percent",
		"last_one":     "repair one of the cluster's: its last one is never taken out",
		"budget":       "repair them, or raise extensions::failover::safety::max_ejection_percent",
		"rate":         "nothing: it goes on by itself within a minute",
	}
	for _, name := range slices.Sorted(maps.Keys(f.Alarms)) {
		kind, _, _ := strings.Cut(strings.ReplaceAll(name, ":", "/"), "/")
		level := levelError
		if slices.Contains([]string{"budget", "rate", "disagree"}, kind) {
			level = levelWarn
		}
		d.add(level, "failover_"+kind, "", f.Alarms[name], cmp.Or(cures[kind], "`lockkeeper failover list` shows it; the README of failover says what to do about each alarm"))
	}
	if f.State != "" {
		d.add(levelError, "failover_state", "", "its state is not on disk, or could not be read: "+f.State,
			"give extensions::failover::data_directory room and its rights back; remove what was put aside once it was looked at")
	}
	var would []string
	for i := range f.Subjects {
		if x := &f.Subjects[i]; x.WouldOut && !x.Out {
			would = append(would, x.Subject)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Would.IDCs)) {
		if f.Would.IDCs[name] != f.Serving.IDCs[name] && (f.Would.IDCs[name].Entry != f.Serving.IDCs[name].Entry || f.Would.IDCs[name].Mesh != f.Serving.IDCs[name].Mesh) {
			would = append(would, "weights of "+name)
		}
	}
	if len(would) > 0 {
		d.add(levelWarn, "observe", few(would), "would be changed, and are not: the mode is observe", "set extensions::failover::mode: act, or do it by hand: `lockkeeper failover eject SUBJECT --for 1h`")
	}
}
