package mesh

import (
	"bytes"
	"strings"
	"unique"
)

// key tells which series an entry belongs to; ok is false when something in it cannot be a label.
func (s *Stream) key(e *entry) (k key, ok bool) {
	e.flags.addDetails(e.details)
	k = key{
		flags: e.flags, code: min(e.code, 999), idc: s.idc, reporter: s.reporterOf(e), grpc: grpcStatus(e),
		sourcePrincipal: s.unknown.principal, destinationPrincipal: s.unknown.principal,
	}
	if e.tcp {
		k.protocol, k.code = protocolTCP, 0
	} else if k.grpc != noGRPCStatus || bytes.HasPrefix(e.contentType, []byte("application/grpc")) {
		k.protocol = protocolGRPC
	}
	destinationReports := k.reporter == reporterDestination
	if e.source.party, ok = s.peer(&e.source, k.reporter == reporterSource); !ok {
		return key{}, false
	}
	if e.destination.party, ok = s.peer(&e.destination, destinationReports); !ok {
		return key{}, false
	}
	s.byAddress(&k, e)
	k.far = s.farOf(&k, e)
	service, ok := s.serviceOf(e)
	if !ok {
		return key{}, false
	}
	k.service = service.service
	if destinationReports { // else the certificates are those of the reporter's own client, which is not an end of the edge
		if !e.readTLS() {
			return key{}, false
		}
		k.security = securityNone
		if len(e.peerSAN) > 0 && len(e.localSAN) > 0 {
			k.security = securityMutualTLS
		}
	}
	if k.sourcePrincipal, ok = s.principal(e, e.peerSAN, e.source.party); !ok {
		return key{}, false
	}
	if k.destinationPrincipal, ok = s.principal(e, e.localSAN, e.destination.party); !ok {
		return key{}, false
	}
	k.source = s.inNamespace(e.source.party, k.sourcePrincipal)
	k.destination = s.inNamespace(e.destination.party, k.destinationPrincipal)
	e.identify(&k, service.id)
	return k, true
}

// identify completes the hash of the entry's key, to which principals and the far end have been added.
func (e *entry) identify(k *key, service uint64) {
	small := uint64(k.code) | uint64(uint8(k.grpc))<<32 | uint64(k.reporter)<<40 | uint64(k.protocol)<<48 | uint64(k.security)<<56
	id := e.id*odd + e.source.party.id
	id = id*odd + e.destination.party.id
	id = id*odd + service
	id = id*odd + small
	id = id*odd + uint64(k.flags)
	e.id = id ^ id>>32
}

// grpcStatus is the grpc-status of the trailers, or of the headers of a trailers-only response, or noGRPCStatus.
func grpcStatus(e *entry) int8 {
	text := e.grpcTrailer
	if len(text) == 0 {
		text = e.grpcHeader
	}
	var n int8
	for _, c := range text {
		if c < '0' || c > '9' || n > 9 {
			return noGRPCStatus
		}
		n = n*10 + int8(c-'0')
	}
	if len(text) == 0 || n > 16 {
		return noGRPCStatus
	}
	return n
}

// reporterOf tells which side wrote the entry: by its own word, by the cluster's direction, by the stream, by the
// listener's port, and at last by which peer it was worth recording.
func (s *Stream) reporterOf(e *entry) reporter {
	if len(e.reporter) > 0 {
		if r := parseReporter(string(e.reporter)); r != reporterUnknown {
			return r
		}
	}
	switch {
	case bytes.HasPrefix(e.cluster, []byte("outbound|")), string(e.cluster) == "PassthroughCluster", string(e.cluster) == "BlackHoleCluster":
		return reporterSource
	case bytes.HasPrefix(e.cluster, []byte("inbound|")), string(e.cluster) == "InboundPassthroughCluster":
		return reporterDestination
	case s.reporter != reporterUnknown:
		return s.reporter
	case e.readLocal() && e.local.port == 15001:
		return reporterSource
	case e.local.port == 15006:
		return reporterDestination
	case e.destination.empty() && !e.source.empty():
		return reporterDestination
	case e.source.empty() && !e.destination.empty():
		return reporterSource
	}
	return reporterUnknown
}

// named is a service that a stream remembers.
type named struct {
	service unique.Handle[Service]
	id      uint64 // hash of its name
}

// serviceOf names the destination service: by tag, by cluster, by route, else by authority, whose number is bounded because
// the client chooses it; a bare cluster name is the last resort.
func (s *Stream) serviceOf(e *entry) (named, bool) {
	var cluster uint64
	if len(e.service) == 0 && len(e.cluster) > 0 {
		cluster = ^s.clusterHash(e)
		if known, ok := s.services.get(cluster); ok {
			return known, true
		}
	}
	kind, name, through := byte('h'), e.service, ""
	if len(name) == 0 || string(name) == Unknown || string(name) == "-" {
		name = clusterHost(e.cluster)
	}
	if len(name) == 0 {
		cluster = 0 // it does not tell
		name = clusterHost(e.route)
	}
	if len(name) == 0 {
		if through = passthrough(e.cluster, e.route); through != "" {
			kind = through[0]
		} else {
			kind = 'a'
		}
		name = withoutPort(e.authority)
	}
	if len(name) == 0 && !bytes.HasPrefix(e.cluster, []byte("inbound|")) { // that one names a port, no service
		kind, name = 'h', e.cluster
	}
	s.scratch = append(append(s.scratch[:0], kind), name...)
	id := s.secret.hash(s.scratch)
	if known, ok := s.services.get(id); ok {
		s.services.put(maxStreamServices, cluster, known)
		return known, true
	}
	host := strings.ToLower(string(name))
	if !validLabel(host) {
		if kind == 'h' {
			return named{}, false
		}
		return named{service: s.aggregator.otherService}, true
	}
	if kind != 'h' && !s.aggregator.hosts.allowAuthority(host) {
		return named{service: s.aggregator.otherService}, true
	}
	service := newService(host)
	if through != "" {
		service.Name = through
		if len(e.authority) == 0 { // the name of the cluster is no host
			service.Host = ""
		}
	}
	if kind == 'h' {
		s.aggregator.hosts.name(host)
	}
	n := named{unique.Make(service), id}
	s.services.put(maxStreamServices, id, n)
	s.services.put(maxStreamServices, cluster, n)
	return n, true
}
