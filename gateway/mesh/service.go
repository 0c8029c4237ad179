package mesh

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Service is the destination service of a request. An empty field is unknown.
type Service struct {
	Host      string // destination_service, such as reviews.default.svc.cluster.local
	Name      string // destination_service_name
	Namespace string // destination_service_namespace; empty: that of the destination workload
}

// maxLabel bounds the length of a label's value in bytes: a DNS name has at most 253.
const maxLabel = 253

// Other is the value of the labels of whatever is over a bound.
const Other = "other"

func validLabel(s string) bool { return len(s) <= maxLabel && utf8.ValidString(s) }

// clusterHost returns the host of a cluster or route that Istio named direction|port|subset|host, or nil.
func clusterHost(name []byte) []byte {
	if !bytes.HasPrefix(name, []byte("outbound|")) && !bytes.HasPrefix(name, []byte("inbound|")) || bytes.Count(name, []byte("|")) != 3 {
		return nil
	}
	return name[bytes.LastIndexByte(name, '|')+1:]
}

// passthrough returns Istio's service name for traffic to a cluster or by a route that matches everything, or "".
func passthrough(cluster, route []byte) string {
	switch string(cluster) {
	case "PassthroughCluster", "InboundPassthroughCluster", "BlackHoleCluster":
		return string(cluster)
	}
	switch string(route) {
	case "block_all":
		return "BlackHoleCluster"
	case "allow_any":
		return "PassthroughCluster"
	}
	return ""
}

// newService names a service by its host: in lower case, without a port; Kubernetes' names are split.
func newService(host string) Service {
	host = strings.ToLower(host)
	s := Service{Host: host, Name: host}
	if parts := strings.SplitN(host, ".", 4); len(parts) >= 3 && parts[2] == "svc" {
		s.Name, s.Namespace = parts[0], parts[1]
	}
	return s
}

// withoutPort cuts the port off an authority.
func withoutPort(authority []byte) []byte {
	i := bytes.LastIndexByte(authority, ':')
	if i < 0 || bytes.IndexByte(authority[i:], ']') >= 0 {
		return authority
	}
	if authority[0] != '[' && bytes.IndexByte(authority[:i], ':') >= 0 { // an IPv6 address without brackets
		return authority
	}
	return authority[:i]
}
