package mesh

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// Node is who sends a stream of access logs: what its first message says of it.
type Node struct {
	ID      string
	LogName string
	IDC     string
	Trusted bool              // what it says is fit for decisions; ReadNode leaves it false
	Caller  string            // who calls when it does, as Tried names callers; empty: its id. ReadNode leaves it empty
	peer    Peer              // the workload it belongs to
	ips     []string          // where that workload listens
	meta    map[string]string // texts of its metadata, and of LABELS as "LABELS/name"
}

// ErrNoIdentity is returned for a stream whose first message does not say who sends it.
var ErrNoIdentity = errors.New("the first message carries no node id: set node.id (--service-node) in Envoy's bootstrap")

// IDCSource says where a node tells which IDC it is in: a field of its locality (region, zone or sub_zone) or a key of its
// metadata. The zero value is the locality's region.
type IDCSource struct {
	Locality string
	Metadata string
}

// ReadNode reads the identifier, which only the first message of a stream carries. It fails on a message without a node id.
func ReadNode(message []byte, idc IDCSource) (Node, error) {
	var id accesslogv3.StreamAccessLogsMessage_Identifier
	c := cursor{b: message}
	for c.next() {
		if c.tag == 1<<3|length {
			if err := proto.Unmarshal(c.sub(), &id); err != nil {
				return Node{}, fmt.Errorf("identifier: %w", err)
			}
		}
	}
	if c.bad {
		return Node{}, ErrMalformed
	}
	n := id.GetNode()
	if n.GetId() == "" {
		return Node{}, ErrNoIdentity
	}
	meta := n.GetMetadata().GetFields()
	labels := meta["LABELS"].GetStructValue().GetFields()
	peer := Peer{
		workload:          cmp.Or(stringField(meta, "WORKLOAD_NAME"), n.GetCluster()),
		namespace:         stringField(meta, "NAMESPACE"),
		app:               cmp.Or(stringField(labels, "app"), stringField(labels, "app.kubernetes.io/name")),
		version:           cmp.Or(stringField(labels, "version"), stringField(labels, "app.kubernetes.io/version")),
		canonicalService:  stringField(labels, "service.istio.io/canonical-name"),
		canonicalRevision: stringField(labels, "service.istio.io/canonical-revision"),
		clusterID:         stringField(meta, "CLUSTER_ID"),
	}
	peer = peer.complete()
	if peer[app] == "" {
		peer[app], peer[canonicalService] = peer[workload], peer[workload]
	}
	for i := range peer {
		if !validLabel(peer[i]) {
			peer[i] = ""
		}
	}
	return Node{ID: n.GetId(), LogName: id.GetLogName(), IDC: idc.of(n), peer: peer, ips: nodeIPs(n), meta: texts(meta, labels)}, nil
}

// App is that of the workload that the node belongs to; empty: unknown. So are the next three.
func (n *Node) App() string { return n.peer[app] }

// Version is the workload's version.
func (n *Node) Version() string { return n.peer[version] }

// Workload is the workload's name.
func (n *Node) Workload() string { return n.peer[workload] }

// Namespace is the workload's namespace.
func (n *Node) Namespace() string { return n.peer[namespace] }

// Metadata is a text of the node's metadata by its key, or, by "LABELS/name", one of its labels; "" without.
func (n *Node) Metadata(key string) string { return n.meta[key] }

func texts(meta, labels map[string]*structpb.Value) map[string]string {
	kept := make(map[string]string, len(meta)+len(labels))
	for prefix, fields := range map[string]map[string]*structpb.Value{"": meta, "LABELS/": labels} {
		for name, value := range fields {
			if text := value.GetStringValue(); text != "" && validLabel(text) {
				kept[prefix+name] = text
			}
		}
	}
	return kept
}

func (s IDCSource) of(n *corev3.Node) string {
	idc := ""
	switch {
	case s.Metadata != "":
		idc = stringField(n.GetMetadata().GetFields(), s.Metadata)
	case s.Locality == "zone":
		idc = n.GetLocality().GetZone()
	case s.Locality == "sub_zone":
		idc = n.GetLocality().GetSubZone()
	default:
		idc = n.GetLocality().GetRegion()
	}
	if idc == "" || !validLabel(idc) {
		return Unknown
	}
	return idc
}

// nodeIPs are the IPs that Istio writes into INSTANCE_IPS and into the id (sidecar~IP~pod.namespace~domain).
func nodeIPs(n *corev3.Node) []string {
	ips := strings.Split(stringField(n.GetMetadata().GetFields(), "INSTANCE_IPS"), ",")
	if parts := strings.Split(n.GetId(), "~"); len(parts) == 4 {
		ips = append(ips, parts[1])
	}
	var valid []string
	for _, ip := range ips {
		if parsed := net.ParseIP(strings.TrimSpace(ip)); parsed != nil {
			valid = append(valid, parsed.String())
		}
	}
	return valid
}

// kind is the part of an Istio node id before the first ~: sidecar, router or waypoint.
func (n Node) kind() string {
	kind, _, _ := strings.Cut(n.ID, "~")
	return kind
}

func stringField(fields map[string]*structpb.Value, key string) string {
	return fields[key].GetStringValue()
}
