package xds

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Cluster is a cluster and its endpoints.
type Cluster struct {
	Name     string
	resource *Resource
	places   []place // by IDC
}

// place is those endpoints of a cluster that are in one IDC.
type place struct {
	idc       string // empty: not known
	endpoints []Endpoint
}

// Endpoint is one address of a cluster.
type Endpoint struct {
	Address netip.AddrPort
	Machine string // empty: not known
	IDC     string // empty: not known
	Weight  uint32 // among the endpoints of its IDC

	subjects          []string // what takes it out
	serving, draining []byte   // as the field lb_endpoints of LocalityLbEndpoints
}

const (
	defaultConnectTimeout = time.Second
	httpOptions           = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
)

// clusterResource is the cluster as Envoy gets it: what the file says of it in Envoy's own words, and over it what the gateway needs.
func clusterResource(c *sourceCluster) (*Resource, error) {
	for _, key := range []string{"name", "type", "cluster_type", "load_assignment", "eds_cluster_config"} {
		if _, ok := c.Envoy[key]; ok {
			return nil, fmt.Errorf("envoy::%s: is what the gateway says: leave it out", key)
		}
	}
	if _, ok := c.Envoy["load_balancing_policy"]; ok {
		return nil, errors.New("envoy::load_balancing_policy: would make the weights of localities void: use lb_policy")
	}
	cluster := &clusterv3.Cluster{}
	if err := fromYAML(c.Envoy, cluster); err != nil {
		return nil, fmt.Errorf("envoy: %w", err)
	}
	cluster.Name = c.Name
	cluster.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
	cluster.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{EdsConfig: &corev3.ConfigSource{
		ResourceApiVersion: corev3.ApiVersion_V3, ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}}
	// An endpoint that is gone gets nothing more, even if Envoy's own health checks like it.
	cluster.IgnoreHealthOnHostRemoval = true
	if cluster.CommonLbConfig == nil {
		cluster.CommonLbConfig = &clusterv3.Cluster_CommonLbConfig{}
	}
	// Envoy's panic would undo DRAINING; and without this locality weights mean nothing.
	cluster.CommonLbConfig.HealthyPanicThreshold = &typev3.Percent{Value: 0}
	cluster.CommonLbConfig.LocalityConfigSpecifier = &clusterv3.Cluster_CommonLbConfig_LocalityWeightedLbConfig_{
		LocalityWeightedLbConfig: &clusterv3.Cluster_CommonLbConfig_LocalityWeightedLbConfig{},
	}
	if c.ConnectTimeout != 0 || cluster.ConnectTimeout == nil {
		timeout := c.ConnectTimeout
		if timeout == 0 {
			timeout = defaultConnectTimeout
		}
		cluster.ConnectTimeout = durationpb.New(timeout)
	}
	if c.HTTP2 {
		if err := speakHTTP2(cluster); err != nil {
			return nil, err
		}
	}
	if err := cluster.ValidateAll(); err != nil {
		return nil, err
	}
	return NewResource(c.Name, cluster)
}

func speakHTTP2(cluster *clusterv3.Cluster) error {
	if cluster.TypedExtensionProtocolOptions[httpOptions] != nil {
		return errors.New("http2: envoy::typed_extension_protocol_options says which HTTP already: leave out one of them")
	}
	options, err := anypb.New(&upstreamhttpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
				},
			},
		},
	})
	if err != nil {
		return err
	}
	if cluster.TypedExtensionProtocolOptions == nil {
		cluster.TypedExtensionProtocolOptions = map[string]*anypb.Any{}
	}
	cluster.TypedExtensionProtocolOptions[httpOptions] = options
	return nil
}

// newCluster puts endpoints where they are.
func newCluster(name string, resource *Resource, endpoints []Endpoint) *Cluster {
	c := &Cluster{Name: name, resource: resource}
	by := map[string][]Endpoint{}
	for _, e := range endpoints {
		by[e.IDC] = append(by[e.IDC], e)
	}
	for _, idc := range slices.Sorted(maps.Keys(by)) {
		slices.SortFunc(by[idc], func(a, b Endpoint) int { return a.Address.Compare(b.Address) })
		c.places = append(c.places, place{idc: idc, endpoints: by[idc]})
	}
	return c
}

// fromYAML fills a message from what YAML was decoded to, in the JSON form of protobuf, which is Envoy's own.
func fromYAML(fields map[string]any, m proto.Message) error {
	if len(fields) == 0 {
		return nil
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("is no JSON: keys must be words: %w", err)
	}
	return explainProto(protojson.Unmarshal(text, m))
}
