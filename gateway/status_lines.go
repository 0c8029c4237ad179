package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The lines of a status, one for each part of a gateway.

func (p *probesState) line() string {
	told, well := 0, 0
	for i := range p.Targets {
		if t := &p.Targets[i]; t.Success != nil {
			told++
			if *t.Success {
				well++
			}
		}
	}
	text := fmt.Sprintf("%d of %d targets are well", well, len(p.Targets))
	if told < len(p.Targets) {
		text += fmt.Sprintf(", %d not probed yet", len(p.Targets)-told)
	}
	if m := p.Machines; m.Total > 0 {
		text += fmt.Sprintf("; %d of %d machines answer", m.Answering, m.Total)
	}
	return text
}

func alertsLine(alerts []alertState) string {
	count, silenced := map[string]int{}, 0
	for i := range alerts {
		if alerts[i].firing() {
			count[alerts[i].Labels["alertname"]]++
		} else {
			silenced++
		}
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(count)) {
		if count[name] > 1 {
			name = fmt.Sprintf("%s (%d)", name, count[name])
		}
		parts = append(parts, name)
	}
	text := "none fires"
	if len(parts) > 0 {
		text = strings.Join(parts, ", ")
	}
	if silenced > 0 {
		text += fmt.Sprintf("; %d silenced or inhibited", silenced)
	}
	return text
}

func (p *pluginsState) line() string {
	if len(p.Plugins) == 0 {
		return "none are configured"
	}
	healthy, fullest := 0, -1.
	for i := range p.Plugins {
		if p.Plugins[i].Healthy {
			healthy++
		}
		for _, q := range p.Plugins[i].Queues {
			fullest = max(fullest, float64(q.Size)/float64(max(q.Capacity, 1)))
		}
	}
	text := fmt.Sprintf("%d of %d are healthy", healthy, len(p.Plugins))
	if fullest >= 0 {
		text += fmt.Sprintf("; the fullest queue is %.0f %% full", 100*fullest)
	}
	return text
}

func (n *nodesState) line() string {
	text := fmt.Sprintf("%d Envoys, %d entries", len(n.Nodes), n.Entries)
	if ratio, node, _ := n.lowest(); node != "" {
		text += fmt.Sprintf(", at least %.1f %% of them arrive", 100*ratio)
	}
	return text
}

func (m *meshState) line() string {
	if m == nil || len(m.Edges) == 0 {
		return ""
	}
	rate, failed := 0., 0.
	for _, e := range m.Edges {
		rate += e.Rate
		failed += e.Rate * e.Errors
	}
	return fmt.Sprintf("; %d edges, %.1f requests/s, %.2f %% fail", len(m.Edges), rate, 100*failed/max(rate, 1e-9))
}

func (d *dnsState) line() string {
	names := 0
	var zones []string
	for _, z := range d.Zones {
		zones = append(zones, strings.TrimSuffix(z.Zone, "."))
		names += len(z.Names)
	}
	text := fmt.Sprintf("%s: %d names, serial %d", strings.Join(zones, ", "), names, d.Serial)
	if d.Degraded {
		text += ", degraded: TTLs are halved"
	}
	return text
}

func (c *clusterState) line() string {
	alive := 0
	var lost, left []string
	for _, m := range c.Members {
		switch m.State {
		case memberAlive:
			alive++
		case memberLeft:
			left = append(left, m.Name)
		default:
			lost = append(lost, m.Name)
		}
	}
	text := fmt.Sprintf("%d of %d gateways answer", alive, len(c.Members)-len(left))
	if lost != nil {
		text += "; lost: " + strings.Join(lost, ", ")
	}
	if left != nil {
		text += "; stopped: " + strings.Join(left, ", ")
	}
	return text
}
