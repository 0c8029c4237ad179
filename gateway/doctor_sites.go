package main

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	clockApart   = 2 * time.Second // more is told
	clockRefused = time.Minute     // gateways refuse what comes from further ahead
	overviewAge  = time.Second     // so old may an overview be when it comes
	refusedLong  = 10 * time.Minute
)

// offset is how far the gateway's clock is ahead of this machine's, at least (negative: behind); 0: it may be right.
func (o *overview) offset() time.Duration {
	switch {
	case o.asked.IsZero() || o.At.IsZero():
		return 0
	case o.At.After(o.answered):
		return o.At.Sub(o.answered)
	case o.At.Before(o.asked.Add(-overviewAge)):
		return o.At.Sub(o.asked.Add(-overviewAge))
	}
	return 0
}

func ahead(by time.Duration) string {
	if by < 0 {
		return (-by).Round(time.Second).String() + " behind"
	}
	return by.Round(time.Second).String() + " ahead of"
}

// clock compares a gateway's clock with that of this machine.
func (d *doctor) clock(o *overview) {
	if by := o.offset(); by.Abs() > clockApart {
		d.add(levelWarn, "clock", o.Gateway, fmt.Sprintf("its clock is %s this machine's: it says %s", ahead(by), o.At.UTC().Format(time.RFC3339)),
			"set both clocks (chrony, NTP: `chronyc tracking` tells how far a machine is off); holds, silences and events have the gateway's time")
	}
}

// together looks at what several gateways say.
func (d *doctor) together(answers []*overview) {
	if len(answers) < 2 {
		return
	}
	slowest, fastest, versions := answers[0], answers[0], map[string][]string{}
	for _, o := range answers {
		versions[o.Version] = append(versions[o.Version], o.Gateway)
		if o.offset() < slowest.offset() {
			slowest = o
		}
		if o.offset() > fastest.offset() {
			fastest = o
		}
	}
	if apart := fastest.offset() - slowest.offset(); apart > clockApart {
		level := levelWarn
		if apart > clockRefused {
			level = levelError
		}
		d.add(level, "clocks", fastest.Gateway, fmt.Sprintf("its clock is %s that of %s; from %s on gateways of a cluster refuse what another says", ahead(apart), slowest.Gateway, clockRefused),
			"set their clocks (chrony, NTP); restart the gateway whose clock was wrong if it is still refused after a minute")
	}
	if len(versions) > 1 {
		var parts []string
		for _, version := range slices.Sorted(maps.Keys(versions)) {
			parts = append(parts, version+" at "+strings.Join(versions[version], ", "))
		}
		d.add(levelWarn, "versions", "", "the gateways have different versions: "+strings.Join(parts, "; "), "update those that are behind")
	}
}

// cluster looks at who answers, and at what was refused.
func (d *doctor) cluster(c *clusterState) {
	for _, s := range c.Silent {
		d.add(levelError, "site_silent", s.Site, s.Why,
			"start its gateway; if it runs: cluster::endpoint and ::advertise must be reached by UDP and TCP both ways, keys the same, clocks within two minutes")
	}
	silent := func(m clusterMember) bool {
		return slices.ContainsFunc(c.Silent, func(s struct{ Site, Why string }) bool { return s.Site == m.Site })
	}
	for _, m := range c.Members {
		if m.State == memberLeft {
			d.add(levelOK, "member_left", m.Name, fmt.Sprintf("of site %s was stopped at %s", m.Site, clock(m.Since)), "")
		} else if m.State != memberAlive && !silent(m) {
			d.add(levelWarn, "member_lost", m.Name, fmt.Sprintf("of site %s, at %s, does not answer since %s", m.Site, m.Address, clock(m.Since)),
				"start it; if it was taken away for good it is forgotten after a day (one that is stopped says so, and is not missed)")
		}
	}
	cures := map[string]string{
		"key":     "give all gateways the same cluster::keys, in the same order: one has another",
		"stale":   "set the clocks: those of two gateways differ by more than two minutes",
		"garbage": "somebody who is no gateway of this cluster sends to cluster::endpoint: let a firewall keep it to the gateways",
		"meta":    "give every gateway a proper cluster::name, ::site and ::advertise",
		"merge":   "take the same version of lockkeeper for all gateways",
		"size":    "the state of the cluster is too large: see the largest in `GET /api/v1/cluster`",
		"busy":    "too many connections to cluster::endpoint show no key: let a firewall keep it to the gateways",
	}
	for _, reason := range slices.Sorted(maps.Keys(c.Refused)) {
		if r := c.Refused[reason]; r.Count > 0 && time.Since(r.At) < refusedLong {
			level := levelWarn
			if reason == "key" {
				level = levelError
			}
			d.add(level, "gossip_"+reason, "", fmt.Sprintf("%d messages of others were refused, the last at %s: %s", r.Count, clock(r.At), strings.TrimSpace(r.Last)), cures[reason])
		}
	}
	if len(c.Members) == 1 && len(c.Silent) == 0 {
		d.add(levelWarn, "alone", c.Name, "is the only gateway of its cluster", "name the others in cluster::join, or take the extension cluster away")
	}
}

// reach looks for ports that only this machine reaches though others are to.
func (d *doctor) reach(g *remote, o *overview) {
	remote := o.elsewhere(g)
	if remote == "" {
		return
	}
	if n := o.Sections.Nodes; n != nil && len(n.Nodes) == 0 && isLoopback(n.Endpoint) {
		d.add(levelError, "loopback", n.Endpoint, "takes telemetry from this machine alone, and "+remote+" is elsewhere",
			"set receivers::envoy::endpoint to an address that the Envoys reach, such as 0.0.0.0:9001")
	}
	if x := o.Sections.XDS; x != nil && x.Streams == 0 && isLoopback(x.Endpoint) {
		d.add(levelError, "loopback", x.Endpoint, "serves xDS to this machine alone, and "+remote+" is elsewhere",
			"set extensions::xds::endpoint to an address that the Envoys reach, such as 0.0.0.0:18000")
	}
}

// elsewhere is something that shows that the mesh is on other machines than the gateway; "": nothing does.
func (o *overview) elsewhere(g *remote) string {
	if p := o.Sections.Probes; p != nil {
		for i := range p.Targets {
			t := &p.Targets[i]
			if address := cmp.Or(t.Address, t.Target); strings.HasPrefix(t.Subject, "machine/") && isOutside(address) {
				return t.Subject + " at " + address
			}
		}
	}
	if base, err := url.Parse(g.url); err == nil && isOutside(base.Hostname()) {
		return "who asks by " + g.url
	}
	return ""
}

// isLoopback tells whether an endpoint is reached from its own machine alone.
func isLoopback(endpoint string) bool {
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// isOutside tells of an IP address, with or without a port, that it is not this machine's own.
func isOutside(address string) bool {
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	ip, err := netip.ParseAddr(address)
	return err == nil && !ip.IsLoopback() && !ip.IsUnspecified()
}

// xds looks for weights that clients ignore.
func (d *doctor) xds(x *xdsState, f *failoverState) {
	if len(x.Foreign) == 0 {
		return
	}
	var who []string
	for _, c := range x.Foreign {
		who = append(who, fmt.Sprintf("%s (%s)", c.Node, few(c.Clusters)))
	}
	if f == nil || f.evenMesh() {
		d.add(levelOK, "xds", "", fmt.Sprintf("%d streams take what is served; %s take endpoints alone: their own clusters need locality_weighted_lb_config for weights to count",
			x.Streams, few(who)), "")
		return
	}
	d.add(levelWarn, "locality_weights", few(who), "take endpoints from here and have their clusters from elsewhere, while the IDCs have different weights in the mesh: an Envoy ignores "+
		"the weights unless its cluster has locality_weighted_lb_config, which cannot be seen from here",
		"see it in the Envoy (GET /config_dump?resource=dynamic_active_clusters): give these clusters common_lb_config: {locality_weighted_lb_config: {}, healthy_panic_threshold: {value: 0}}, "+
			"in Istio by an EnvoyFilter or a DestinationRule with localityLbSetting; or take the clusters from here, too")
}

// evenMesh tells that weights in the mesh ask for nothing.
func (s *failoverState) evenMesh() bool {
	first, some := uint32(0), false
	for _, idc := range s.Serving.IDCs {
		if some && idc.Mesh != first {
			return false
		}
		first, some = idc.Mesh, true
	}
	return true
}
