package mesh

import (
	"cmp"
	"strconv"
	"unique"
)

// reporter is which side's Envoy wrote an entry.
type reporter uint8

const (
	reporterUnknown reporter = iota
	reporterSource
	reporterDestination
	reporterWaypoint
)

func (r reporter) String() string {
	return [...]string{Unknown, "source", "destination", "waypoint"}[r]
}

func parseReporter(s string) reporter {
	switch s {
	case "source":
		return reporterSource
	case "destination":
		return reporterDestination
	case "waypoint":
		return reporterWaypoint
	}
	return reporterUnknown
}

type protocol uint8

const (
	protocolHTTP protocol = iota
	protocolGRPC
	protocolTCP
)

func (p protocol) String() string { return [...]string{"http", "grpc", "tcp"}[p] }

type security uint8

const (
	securityUnknown security = iota
	securityNone
	securityMutualTLS
)

func (s security) String() string { return [...]string{Unknown, "none", "mutual_tls"}[s] }

// noGRPCStatus stands for a request without grpc-status.
const noGRPCStatus = -1

// key is the identity of a series. It has a fixed size and no padding, so that hashing it is one pass over 72 bytes;
// handles compare by address, and the garbage collector drops what no series refers to any more.
type key struct {
	source, destination                   unique.Handle[Peer]
	sourcePrincipal, destinationPrincipal unique.Handle[string]
	service                               unique.Handle[Service]
	idc, far                              unique.Handle[string] // of the reporter, of the other end
	flags                                 Flags
	code                                  uint32
	grpc                                  int8
	reporter                              reporter
	protocol                              protocol
	security                              security
}

// failure tells whether the requests or connections of a series failed: a flag or, of requests, no response code, a 5xx, or a
// gRPC status but OK.
func (k *key) failure() bool {
	if k.protocol == protocolTCP {
		return k.flags.failure()
	}
	return k.code == 0 || k.code >= 500 || k.grpc > 0 || k.flags.failure()
}

// Label is a name and a value.
type Label struct{ Name, Value string }

// labels builds Istio's label set, with idc. An empty value means that the label is absent.
func (k *key) labels() []Label {
	labels := make([]Label, 0, 28)
	add := func(name, value string) { labels = append(labels, Label{name, value}) }
	add("reporter", k.reporter.String())
	source, destination, service := k.source.Value(), k.destination.Value(), k.service.Value()
	source[principal], destination[principal] = k.sourcePrincipal.Value(), k.destinationPrincipal.Value()
	for _, side := range [...]struct {
		prefix string
		peer   *Peer
	}{{"source_", &source}, {"destination_", &destination}} {
		for i, suffix := range [attributeCount]string{
			"workload", "workload_namespace", "principal", "app", "version", "canonical_service", "canonical_revision", "cluster",
		} {
			missing := Unknown
			if i == canonicalRevision {
				missing = "latest" // as istio_stats has it
			}
			add(side.prefix+suffix, cmp.Or(side.peer[i], missing))
		}
	}
	add("destination_service", cmp.Or(service.Host, Unknown))
	add("destination_service_name", cmp.Or(service.Name, Unknown))
	add("destination_service_namespace", cmp.Or(service.Namespace, destination[namespace], Unknown))
	add("request_protocol", k.protocol.String())
	if k.protocol != protocolTCP {
		add("response_code", strconv.FormatUint(uint64(k.code), 10))
	}
	if k.grpc != noGRPCStatus {
		add("grpc_response_status", strconv.Itoa(int(k.grpc)))
	}
	add("response_flags", k.flags.String())
	add("connection_security_policy", k.security.String())
	add("idc", k.idc.Value())
	return labels
}
