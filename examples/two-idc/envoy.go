package main

import (
	"encoding/json"
	"fmt"
)

type (
	object = map[string]any
	list   = []any
)

const (
	alsPort   = 9001
	adminPort = 15000
)

// envoyConfig is the bootstrap of a proxy of the data centre d.
func envoyConfig(p proxy, d idc, id identity) ([]byte, error) {
	host, clusters := callerHost(p, d, id), callerClusters(d, id)
	if p.role == server {
		host, clusters = serverHost(p, id), serverClusters(p)
	}
	return json.MarshalIndent(object{
		"node":  node(p),
		"admin": object{"address": socket(p.ip, adminPort)},
		// Calls come from the pod's own address, as in a cluster.
		"cluster_manager": object{"upstream_bind_config": object{"source_address": address(p.ip, 0)}},
		"static_resources": object{
			"listeners": list{listener(p, host, id)},
			"clusters":  append(clusters, logCluster()),
		},
	}, "", " ")
}

// node says who the Envoy is, as Istio writes it.
func node(p proxy) object {
	pod := fmt.Sprintf("%s-5d8f7c9b64-%s", p.workload(), p.idc)
	kind := "sidecar"
	if p.role == ingress {
		kind = "router"
	}
	return object{
		"id":       fmt.Sprintf("%s~%s~%s.demo~demo.svc.cluster.local", kind, p.ip, pod),
		"cluster":  p.app + ".demo",
		"locality": object{"region": p.idc},
		"metadata": object{
			"NAME": pod, "NAMESPACE": "demo", "WORKLOAD_NAME": p.workload(), "CLUSTER_ID": p.idc, "INSTANCE_IPS": p.ip,
			"LABELS": object{
				"app": p.app, "version": p.version,
				"service.istio.io/canonical-name": p.app, "service.istio.io/canonical-revision": p.version,
			},
		},
	}
}

func listener(p proxy, host object, id identity) object {
	router := object{"name": "envoy.filters.http.router", "typed_config": typed("filters.http.router.v3.Router", object{})}
	return object{
		"name":              [...]string{ingress: "0.0.0.0_8080", client: "virtualOutbound", server: "virtualInbound"}[p.role],
		"traffic_direction": [...]string{ingress: "OUTBOUND", client: "OUTBOUND", server: "INBOUND"}[p.role],
		"address":           socket(p.ip, p.port()),
		"filter_chains": list{object{"filters": list{object{
			"name": "envoy.filters.network.http_connection_manager",
			"typed_config": typed("filters.network.http_connection_manager.v3.HttpConnectionManager", object{
				"stat_prefix":        p.address(),
				"use_remote_address": p.role == ingress,
				"http_filters":       append(id.filters(p), router),
				"access_log":         list{accessLog(id.tags(p))},
				"route_config":       object{"name": "routes", "virtual_hosts": list{host}},
			}),
		}}}},
	}
}

// accessLog sends entries to the gateway: what a user adds to an Envoy of his own.
func accessLog(tags list) object {
	return object{"name": "envoy.access_loggers.http_grpc", "typed_config": typed("access_loggers.grpc.v3.HttpGrpcAccessLogConfig", object{
		"common_config": object{
			"log_name":                    "http_envoy_accesslog",
			"transport_api_version":       "V3",
			"grpc_service":                object{"envoy_grpc": object{"cluster_name": "lockkeeper"}},
			"filter_state_objects_to_log": list{"upstream_peer", "downstream_peer"},
			"custom_tags":                 tags,
			"buffer_flush_interval":       "1s",
		},
		"additional_request_headers_to_log":   list{"content-type"},
		"additional_response_headers_to_log":  list{"grpc-status"},
		"additional_response_trailers_to_log": list{"grpc-status"},
	})}
}

func logCluster() object {
	c := cluster("lockkeeper", endpoint("127.0.0.1", alsPort))
	c["typed_extension_protocol_options"] = protocol(object{"explicit_http_config": object{"http2_protocol_options": object{}}})
	return c
}

func cluster(name string, endpoints ...any) object {
	return object{
		"name": name, "type": "STATIC", "connect_timeout": "1s",
		"load_assignment":                  object{"cluster_name": name, "endpoints": list{object{"lb_endpoints": endpoints}}},
		"typed_extension_protocol_options": protocol(object{"use_downstream_protocol_config": object{"http2_protocol_options": object{}}}),
	}
}

func protocol(options object) object {
	return object{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed("upstreams.http.v3.HttpProtocolOptions", options)}
}

func endpoint(ip string, port int) object {
	return object{"endpoint": object{"address": socket(ip, port)}}
}

func socket(ip string, port int) object { return object{"socket_address": address(ip, port)} }

func address(ip string, port int) object { return object{"address": ip, "port_value": port} }

// typed names the type of an extension's configuration.
func typed(kind string, config object) object {
	config["@type"] = "type.googleapis.com/envoy.extensions." + kind
	return config
}
