package mesh

import (
	"cmp"
	"net"
	"strconv"
	"strings"
	"time"
	"unique"
)

// try is what UpstreamEnd entries are counted by: who tried which host of which cluster, and what came of it.
type try struct {
	address, cluster unique.Handle[string]
	key              key
}

// endpointKey has the labels of lockkeeper_endpoint_*, code and flags only for requests.
type endpointKey struct {
	endpoint, cluster, service, idc  string
	workload, namespace, application string
	code                             uint32
	flags                            Flags
}

func (k endpointKey) labels() []Label {
	return []Label{
		{"endpoint", k.endpoint},
		{"upstream_cluster", k.cluster},
		{"destination_service", k.service},
		{"idc", k.idc},
		{"source_workload", k.workload},
		{"source_workload_namespace", k.namespace},
		{"source_app", k.application},
	}
}

// try counts one UpstreamEnd entry: what one host answered to one try of a request. s.mu is held.
func (s *Stream) try(e *entry) {
	k, ok := s.key(e)
	if !ok || !e.readUpstream() {
		s.stats.Malformed++
		return
	}
	t := try{key: k}
	if t.cluster, ok = s.text(e.cluster); !ok {
		s.stats.Malformed++
		return
	}
	s.scratch = s.scratch[:0]
	if e.upstream.socket && len(e.upstream.ip) > 0 {
		s.scratch = append(append(s.scratch, e.upstream.ip...), ' ')
		s.scratch = strconv.AppendUint(s.scratch, uint64(e.upstream.port), 10)
	}
	if t.address, ok = s.text(s.scratch); !ok {
		s.stats.Malformed++
		return
	}
	s.stats.Tries++
	if s.endpoints != nil {
		s.tell(&k, e, true)
	}
	if s.tries == nil {
		s.tries = map[try]uint64{}
	} else if _, ok := s.tries[t]; !ok && len(s.tries) >= maxStreamSeries {
		s.merge()
	}
	s.tries[t]++
}

// mergeTries adds what a stream counted to the endpoints, and resets that.
func (a *Aggregator) mergeTries(tries map[try]uint64) {
	if len(tries) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for t, n := range tries {
		source := t.key.source.Value()
		id := endpointKey{
			endpoint: endpointName(t.address.Value()), cluster: cmp.Or(t.cluster.Value(), Unknown),
			service: cmp.Or(t.key.service.Value().Host, Unknown), idc: t.key.idc.Value(),
			workload: cmp.Or(source[workload], Unknown), namespace: cmp.Or(source[namespace], Unknown), application: cmp.Or(source[app], Unknown),
			code: t.key.code, flags: t.key.flags,
		}
		requests, failures := a.endpointCounters(id, n)
		requests.add(n, a.merged)
		if !t.key.failure() {
			n = 0 // there is a series of no failures, too
		}
		failures.add(n, a.merged)
	}
	clear(tries)
}

// endpointCounters finds or makes the counters of n tries. Beyond the bound they are those of "other".
func (a *Aggregator) endpointCounters(id endpointKey, n uint64) (requests, failures *counter) {
	if a.endpoints[id] == nil && len(a.endpoints) >= a.options.MaxSeries {
		a.endpointOverflow += n
		code, flags := id.code, id.flags
		id = endpointKey{endpoint: Other, cluster: Other, service: Other, idc: Other, workload: Other, namespace: Other, application: Other}
		if len(a.endpoints) < a.options.MaxSeries+1000 {
			id.code, id.flags = code, flags
		}
	}
	if requests = a.endpoints[id]; requests == nil {
		labels := append(id.labels(), Label{"response_code", strconv.FormatUint(uint64(id.code), 10)}, Label{"response_flags", id.flags.String()})
		requests = a.newCounter("lockkeeper_endpoint_requests_total", labels)
		a.endpoints[id] = requests
	}
	id.code, id.flags = 0, 0
	if failures = a.endpointFailures[id]; failures == nil {
		failures = a.newCounter("lockkeeper_endpoint_failures_total", id.labels())
		a.endpointFailures[id] = failures
	}
	return requests, failures
}

// endpointName writes an address "ip port" as "ip:port".
func endpointName(address string) string {
	ip, port, ok := strings.Cut(address, " ")
	if !ok {
		return Unknown
	}
	return net.JoinHostPort(ip, port)
}

// past is a time of a caller's clock in terms of one that nobody sets. A clock that is fast must not veto for longer.
func past(t, now time.Time) time.Time {
	switch {
	case t.IsZero():
		return t
	case t.After(now):
		return now
	}
	return now.Add(-now.Sub(t))
}

// sweepEndpoints forgets the endpoints whose counters are gone.
func (a *Aggregator) sweepEndpoints() {
	for _, all := range [...]map[endpointKey]*counter{a.endpoints, a.endpointFailures} {
		for id, c := range all {
			if c.gone {
				delete(all, id)
			}
		}
	}
}
