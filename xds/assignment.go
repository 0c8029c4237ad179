package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// What becomes of an endpoint.
const (
	serving   = iota
	kept      // it should be out, but nothing better is left in its cluster
	draining  // requests under way finish
	removed   // it is gone
	elsewhere // its IDC has no weight in the mesh
	fates
)

func fateNames() [fates]string {
	return [fates]string{"serving", "kept", "draining", "removed", "elsewhere"}
}

// tally is what became of a cluster.
type tally struct {
	endpoints [fates]int64
	unplaced  bool // the mesh's weights do not apply: nothing is known of an IDC that it has endpoints in
}

func (t *tally) add(other *tally, times int64) {
	for fate, n := range other.endpoints {
		t.endpoints[fate] += n * times
	}
}

// assign is what is served of a cluster: a pure function. A dead endpoint is gone, a gray one is DRAINING. Something is always left: if no endpoint
// were, the gray ones serve as if nothing were; if there is none of these either, all do.
func assign(c *Cluster, s *Serving) (*endpointv3.ClusterLoadAssignment, tally) {
	var t tally
	fate, in := fatesOf(c, s)
	weights, known := meshWeights(c, s, in)
	t.unplaced = !known
	assignment := &endpointv3.ClusterLoadAssignment{ClusterName: c.Name}
	for n := range c.places {
		p := &c.places[n]
		if weights != nil && weights[n] == 0 {
			t.endpoints[elsewhere] += int64(len(p.endpoints))
			continue
		}
		encoded := make([]byte, 0, p.size())
		var weight uint32
		for i := range p.endpoints {
			e := &p.endpoints[i]
			is := fate[n][i]
			t.endpoints[is]++
			switch is {
			case removed:
			case draining:
				encoded = append(encoded, e.draining...)
			default:
				encoded = append(encoded, e.serving...)
				weight += e.Weight
			}
		}
		if len(encoded) == 0 {
			continue
		}
		if weights != nil {
			weight = weights[n]
		}
		locality := &endpointv3.LocalityLbEndpoints{Locality: &corev3.Locality{Region: p.idc}, LoadBalancingWeight: wrapperspb.UInt32(max(weight, 1))}
		locality.ProtoReflect().SetUnknown(encoded) // encoded once, when the endpoint became known
		assignment.Endpoints = append(assignment.Endpoints, locality)
	}
	return assignment, t
}

// size is how much room all endpoints' encoded forms need.
func (p *place) size() (n int) {
	for i := range p.endpoints {
		n += len(p.endpoints[i].draining) // the longer one
	}
	return n
}

// fatesOf tells what becomes of each endpoint of each place, and how many of each place serve.
func fatesOf(c *Cluster, s *Serving) (all [][]int, in []int) {
	all, in = make([][]int, len(c.places)), make([]int, len(c.places))
	var serves, drains int
	for n := range c.places {
		p := &c.places[n]
		all[n] = make([]int, len(p.endpoints))
		for i := range p.endpoints {
			switch all[n][i] = p.endpoints[i].fate(s); all[n][i] {
			case serving:
				serves++
				in[n]++
			case draining:
				drains++
			}
		}
	}
	if serves > 0 {
		return all, in
	}
	for n := range all {
		for i := range all[n] {
			if drains == 0 || all[n][i] == draining {
				all[n][i] = kept
				in[n]++
			}
		}
	}
	return all, in
}

func (e *Endpoint) fate(s *Serving) int {
	fate := serving
	for _, subject := range e.subjects {
		if out, ok := s.Out[subject]; ok {
			if !out.Drain {
				return removed
			}
			fate = draining
		}
	}
	return fate
}

// overprovision is how much more than its part the rest of an IDC's endpoints take before traffic goes to other IDCs. It is Envoy's own factor, in
// tenths: Envoy does not know of those that are gone, nor count those that are draining.
const overprovision = 14

// meshWeights are the weights of the places by what the IDCs are to have of the mesh's traffic, 0: none. A place that lost endpoints gets less, so that
// those it has left are not drowned. Nil: each endpoint counts alike, wherever it is, because nothing is known of IDCs, of one of these (known is
// false), or because none of those with a weight has an endpoint that serves.
func meshWeights(c *Cluster, s *Serving, in []int) (weights []uint32, known bool) {
	if s.IDCs == nil {
		return nil, true
	}
	weights = make([]uint32, len(c.places))
	var any bool
	for n := range c.places {
		idc, ok := s.IDCs[c.places[n].idc]
		if !ok {
			return nil, false
		}
		if idc.Mesh == 0 {
			continue
		}
		all := uint64(len(c.places[n].endpoints)) * 10
		scaled := uint64(idc.Mesh) * min(all, overprovision*uint64(in[n]))
		weights[n] = uint32(max(1, scaled/max(all, 1)))
		any = any || in[n] > 0
	}
	if !any {
		return nil, true
	}
	return weights, true
}

// encode makes the endpoint's two forms, once. What it runs is what access logs are to tell of it: see the snippet for Envoy.
func (e *Endpoint) encode(runs map[string]string) error {
	host := &endpointv3.LbEndpoint{
		HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: &corev3.Address{
			Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
				Address:       e.Address.Addr().String(),
				PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(e.Address.Port())},
			}},
		}}},
		LoadBalancingWeight: wrapperspb.UInt32(e.Weight),
	}
	if len(runs) > 0 {
		fields := make(map[string]*structpb.Value, len(runs))
		for key, value := range runs {
			fields[key] = structpb.NewStringValue(value)
		}
		host.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"istio": {Fields: fields}}}
	}
	var err error
	if e.serving, err = asField(host); err != nil {
		return err
	}
	host.HealthStatus = corev3.HealthStatus_DRAINING
	e.draining, err = asField(host)
	return err
}

// lbEndpoints is the number of LocalityLbEndpoints.lb_endpoints.
const lbEndpoints protowire.Number = 2

func asField(host *endpointv3.LbEndpoint) ([]byte, error) {
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(host)
	if err != nil {
		return nil, err
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, lbEndpoints, protowire.BytesType), value), nil
}
