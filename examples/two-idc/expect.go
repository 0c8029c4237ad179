package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// labels are those of istio_requests_total that the demo knows the values of.
const labels = "reporter,idc,source_workload,source_app,source_version,destination_workload,destination_app,destination_version," +
	"destination_service,request_protocol,response_code,response_flags,grpc_response_status"

// A series is the values of labels, in their order; an absent label is empty.
type series [13]string

// A tally counts requests by series.
type tally map[series]int

// expect adds what a trial leaves behind.
func (t tally) expect(c *caller, tr trial) {
	for _, m := range tr.want {
		t[m.series(c.from, c.to)] += max(1, m.times)
	}
}

func (m mark) series(from, to proxy) series {
	workload, app, version := to.workload(), to.app, to.version
	if m.nobody {
		workload, app, version = "unknown", "unknown", "unknown"
	}
	protocol := "http"
	if m.grpc != "" {
		protocol = "grpc"
	}
	return series{
		m.reporter, from.idc, from.workload(), from.app, from.version, workload, app, version,
		serviceHost, protocol, strconv.Itoa(m.code), m.flags, m.grpc,
	}
}

// flags are all that occur, once each.
func (t tally) flags() []string {
	seen := map[string]bool{}
	for s := range t {
		for _, flag := range strings.Split(s[11], ",") {
			seen[flag] = flag != "-"
		}
	}
	all := []string{}
	for flag, set := range seen {
		if set {
			all = append(all, flag)
		}
	}
	slices.Sort(all)
	return all
}

// A difference is a series of which the gateway says something else than the generator. The count -1 means that it is
// not there at all.
type difference struct {
	series        series
	expected, got int
}

func (t tally) differences(got tally) []difference {
	var all []difference
	for s, n := range t {
		if count, ok := got[s]; !ok {
			all = append(all, difference{s, n, -1})
		} else if count != n {
			all = append(all, difference{s, n, count})
		}
	}
	for s, n := range got {
		if _, ok := t[s]; !ok {
			all = append(all, difference{s, -1, n})
		}
	}
	slices.SortFunc(all, func(a, b difference) int { return slices.Compare(a.series[:], b.series[:]) })
	return all
}

func (d difference) String() string {
	s := d.series
	count := func(n int) string {
		if n < 0 {
			return "none"
		}
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%-11s %-5s %-12s %-4s → %-12s %-10s %-5s code %-4s flags %-7s grpc %-3s expected %-5s got %s  (workloads %s → %s, service %s)",
		s[0], s[1], s[3], s[4], s[6], s[7], s[9], s[10], s[11], cmp.Or(s[12], "-"), count(d.expected), count(d.got), s[2], s[5], s[8])
}
