package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A metric is a family of series, or some families, of which the demo knows every value.
type metric struct {
	labels   string // that its series are summed by, in order
	selector string // PromQL: what is summed
}

// The names of the metrics, in result.json too.
const (
	requests    = "requests"
	connections = "tcp"
	endpoints   = "endpoints"
	loss        = "loss"
	coverage    = "coverage"
	stats       = "stats"
)

const identityLabels = "reporter,idc,source_workload,source_app,source_version,destination_workload,destination_app,destination_version," +
	"destination_service,request_protocol,"

func metrics() map[string]metric {
	return map[string]metric{
		requests:    {identityLabels + "response_code,response_flags,grpc_response_status", "istio_requests_total"},
		connections: {identityLabels + "response_flags,__name__", `{__name__=~"istio_tcp_.*_total"}`},
		endpoints:   {"__name__,idc,source_workload,upstream_cluster,endpoint", `{__name__=~"lockkeeper_endpoint_(requests|failures)_total",endpoint=~".+:.+"} > 0`},
		loss:        {"__name__,source_workload,destination_workload,idc,destination_idc", `{__name__=~"lockkeeper_edge_(sent|received)_total"}`},
		coverage:    {"node", "lockkeeper_als_coverage_ratio"},
		stats:       {statsLabels, fmt.Sprintf(`{__name__=~"%s",envoy_cluster_name!="lockkeeper",envoy_http_conn_manager_prefix!="admin"}`, statsNames)},
	}
}

// A series is the values of a metric's labels in their order, behind a tab each; an absent label is empty.
type series string

func seriesOf(values ...string) series { return series(strings.Join(values, "\t")) }

func (s series) values() []string { return strings.Split(string(s), "\t") }

// A tally has the value of each series of a metric.
type tally map[series]float64

// An expectation is what the gateway must say, by the metrics' names.
type expectation struct {
	identity identity
	want     map[string]tally
}

func newExpectation(id identity) *expectation {
	e := &expectation{id, map[string]tally{}}
	for name := range metrics() {
		e.want[name] = tally{}
	}
	return e
}

// add adds what a trial leaves behind.
func (e *expectation) add(c *caller, t trial) {
	for _, m := range t.want {
		times := float64(max(1, m.times))
		if m.talk == nil {
			e.want[requests][m.series(c.from, c.to, serviceHost)] += times
		} else {
			e.addTalk(c, m, times)
		}
		switch {
		case m.nobody: // nothing left the caller's Envoy
		case m.reporter == "destination":
			e.want[loss][hop("received", c)] += times
		default:
			tries := times * float64(max(1, m.tries))
			e.want[loss][hop("sent", c)] += tries
			if m.talk == nil {
				e.addTries(c, t.port, podPorts(t.port)[0], tries, m.failed())
			}
		}
	}
}

// addTalk adds TCP connections. Without tags and without an authority nothing tells the server's side the service.
func (e *expectation) addTalk(c *caller, m mark, times float64) {
	service := serviceHost
	if e.identity == istio && m.reporter == "destination" {
		service = "unknown"
	}
	for name, value := range map[string]int{
		"connections_opened": 1, "connections_closed": 1, "received_bytes": m.talk.received(), "sent_bytes": m.talk.sent(),
	} {
		s := m.series(c.from, c.to, service) + "\t" + series("istio_tcp_"+name+"_total")
		e.want[connections][s] += times * float64(value)
	}
}

// addTries adds what the router's own log says of the host that a try went to.
func (e *expectation) addTries(c *caller, port, podPort int, tries float64, failed bool) {
	f := func(name string) {
		e.want[endpoints][seriesOf("lockkeeper_endpoint_"+name+"_total", c.from.idc, c.from.workload(),
			outbound(port, c.to.version), fmt.Sprintf("%s:%d", c.to.ip, podPort))] += tries
	}
	f("requests")
	if failed {
		f("failures")
	}
}

// addRefusals adds the tries that Envoy made again elsewhere. Which endpoint a request meets first is chance: Envoy's stats
// have the number.
func (e *expectation) addRefusals(c *caller, tries float64) {
	if tries > 0 {
		e.want[loss][hop("sent", c)] += tries
		e.addTries(c, pairedPort, unusedPort, tries, true)
	}
}

func hop(name string, c *caller) series {
	return seriesOf("lockkeeper_edge_"+name+"_total", c.from.workload(), c.to.workload(), c.from.idc, c.to.idc)
}

// series are the values of identityLabels and of those that requests and connections have beside these.
func (m mark) series(from, to proxy, service string) series {
	workload, app, version := to.workload(), to.app, to.version
	if m.nobody {
		workload, app, version = "unknown", "unknown", "unknown"
	}
	protocol := cmp.Or(m.protocol, "http")
	values := []string{m.reporter, from.idc, from.workload(), from.app, from.version, workload, app, version, service, protocol}
	if m.talk == nil {
		values = append(values, strconv.Itoa(m.code), m.flags, m.grpc)
	} else {
		values = append(values, m.flags)
	}
	return seriesOf(values...)
}

// flags are all that occur, once each.
func (e *expectation) flags() []string {
	seen := map[string]bool{}
	for _, name := range []string{requests, connections} {
		at := slices.Index(strings.Split(metrics()[name].labels, ","), "response_flags")
		for s := range e.want[name] {
			for _, flag := range strings.Split(s.values()[at], ",") {
				seen[flag] = flag != "-"
			}
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

// A difference is a series of which the gateway says something else than the demo. The value -1 means that it is not there
// at all.
type difference struct {
	series        series
	expected, got float64
}

func (t tally) differences(got tally) []difference {
	var all []difference
	for s, n := range t {
		if value, ok := got[s]; !ok {
			all = append(all, difference{s, n, -1})
		} else if value != n {
			all = append(all, difference{s, n, value})
		}
	}
	for s, n := range got {
		if _, ok := t[s]; !ok {
			all = append(all, difference{s, -1, n})
		}
	}
	slices.SortFunc(all, func(a, b difference) int { return cmp.Compare(a.series, b.series) })
	return all
}

func (d difference) String() string {
	value := func(v float64) string {
		if v < 0 {
			return "none"
		}
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprintf("expected %-6s got %-6s %s", value(d.expected), value(d.got), strings.Join(d.series.values(), "  "))
}
