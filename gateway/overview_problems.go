package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// failing are the parts that are there and do not answer, with the reason.
func (o *overview) failing() (texts []string) {
	for _, part := range slices.Sorted(maps.Keys(o.Missing)) {
		if why := o.Missing[part]; !strings.Contains(why, "not configured") {
			texts = append(texts, fmt.Sprintf("%s does not answer: %s", part, why))
		}
	}
	return texts
}

// problems are all things that are wrong now, the worst first, each a line.
func (o *overview) problems() []string {
	s := &o.Sections
	all := s.Failover.problems()
	all = append(all, s.Cluster.problems()...)
	all = append(all, s.Plugins.problems()...)
	all = append(all, o.failing()...)
	all = append(all, s.DNS.problems()...)
	all = append(all, s.Probes.problems()...)
	all = append(all, s.Nodes.problems()...)
	all = append(all, s.Mesh.problems()...)
	for i := range s.Alerts {
		if a := &s.Alerts[i]; a.firing() {
			all = append(all, "alert "+a.text())
		}
	}
	return all
}

func (s *failoverState) problems() (all []string) {
	if s == nil {
		return nil
	}
	for i := range s.Subjects {
		if x := &s.Subjects[i]; strings.HasPrefix(x.Subject, "idc/") && unwell(x.Health) {
			all = append(all, fmt.Sprintf("%s is %s since %s: %s", x.Subject, x.Health, clock(x.Since), x.Why))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Alarms)) {
		all = append(all, fmt.Sprintf("failover: %s: %s", strings.ReplaceAll(name, "_", " "), s.Alarms[name]))
	}
	if s.State != "" {
		all = append(all, "failover: state: "+s.State)
	}
	outs, ills := 0, 0
	for i := range s.Subjects {
		switch x := &s.Subjects[i]; {
		case x.Out:
			outs++
		case unwell(x.Health) && !strings.HasPrefix(x.Subject, "idc/"):
			ills++
		}
	}
	if outs > 0 {
		all = append(all, fmt.Sprintf("%d taken out", outs))
	}
	if ills > 0 {
		all = append(all, fmt.Sprintf("%d unhealthy and not taken out: `lockkeeper failover list` says why", ills))
	}
	return all
}

func unwell(health string) bool { return health != "" && health != "healthy" && health != "unknown" }

func (c *clusterState) problems() (all []string) {
	if c == nil {
		return nil
	}
	for _, s := range c.Silent {
		all = append(all, fmt.Sprintf("site %s is silent: %s", s.Site, s.Why))
	}
	for _, m := range c.Members {
		if m.State != memberAlive && m.State != memberLeft {
			all = append(all, fmt.Sprintf("gateway %s of site %s is %s", m.Name, m.Site, m.State))
		}
	}
	return all
}

func (p *pluginsState) problems() (all []string) {
	if p == nil {
		return nil
	}
	for i := range p.Plugins {
		x := &p.Plugins[i]
		if !x.Healthy {
			how := "says that it cannot work"
			if x.State != "running" {
				how = fmt.Sprintf("is not running (%s)", x.State)
			}
			all = append(all, fmt.Sprintf("plugin %s %s: %s", x.Name, how, cmp.Or(x.LastError, "no reason is told")))
		}
		for _, q := range x.Queues {
			if q.filling() {
				all = append(all, fmt.Sprintf("the queue of %s is %s", q.Exporter, q.text()))
			}
		}
	}
	return all
}

func (d *dnsState) problems() (all []string) {
	if d != nil && d.Error != "" {
		all = append(all, "DNS answers do not follow what is served: "+d.Error)
	}
	return all
}

func (p *probesState) problems() (all []string) {
	if p == nil {
		return nil
	}
	for i := range p.Targets {
		if t := &p.Targets[i]; t.Success != nil && !*t.Success {
			all = append(all, fmt.Sprintf("probe %s of %s fails: %s", t.Module, cmp.Or(t.Name, t.Target), t.Error))
		}
	}
	for _, m := range p.Machines.Down {
		all = append(all, fmt.Sprintf("machine %s does not answer since %s: %s", m.Name, clock(m.Since), m.Error))
	}
	return all
}

func (n *nodesState) problems() (all []string) {
	if n == nil {
		return nil
	}
	if len(n.Nodes) == 0 && n.Entries > 0 {
		all = append(all, "no Envoy sends telemetry any more")
	}
	if ratio, node, thin := n.lowest(); thin {
		all = append(all, fmt.Sprintf("of the access logs of %s only %.1f %% arrive", node, 100*ratio))
	}
	return all
}

func (m *meshState) problems() (all []string) {
	if m == nil {
		return nil
	}
	for _, f := range m.Funnels {
		for _, hop := range f.Hops {
			if hop.Drop != "" {
				all = append(all, fmt.Sprintf("%s, on the way to %s: %s", f.IDC, hop.To, cmp.Or(hop.Text, hop.Drop)))
			}
		}
	}
	return all
}
