package main

import (
	"encoding/json"
	"slices"
)

type (
	object = map[string]any
	list   = []any
)

const (
	sinkPort  = 9001 // the gateway's, for access logs and stats
	adminPort = 15000
)

// envoyConfig is the bootstrap of a proxy of the data centre d.
func envoyConfig(p proxy, d idc, id identity) ([]byte, error) {
	hosts, clusters, tags := list{callerHost(p, d, id)}, callerClusters(d, id), id.tags(p)
	switch {
	case p.role == server:
		hosts, clusters = list{serverHost(p, id)}, serverClusters(p)
	case p.role == ingress && len(d.behind) > 0:
		tags = slices.DeleteFunc(tags, func(tag any) bool { return tag.(object)["tag"] == "destination_service" }) // there are several
		for _, b := range d.behind {
			hosts, clusters = append(hosts, behindHost(b)), append(clusters, behindCluster(b, id))
		}
	}
	listeners := list{listener(p, hosts, id, tags)}
	for _, w := range tcpWays(p, d) {
		listeners = append(listeners, tcpListener(p, w, id))
	}
	return json.MarshalIndent(object{
		"node":                 node(p),
		"admin":                object{"address": socket(p.ip, adminPort)},
		"stats_sinks":          list{statsSink(d)},
		"stats_flush_interval": "2s",
		"stats_config":         statsTags(),
		// Calls come from the pod's own address, as in a cluster.
		"cluster_manager": object{"upstream_bind_config": object{"source_address": address(p.ip, 0)}},
		"static_resources": object{
			"listeners": listeners,
			"clusters":  append(clusters, gatewayCluster()),
		},
	}, "", " ")
}

// node says who the Envoy is, as Istio writes it.
func node(p proxy) object {
	return object{
		"id":       p.nodeID(),
		"cluster":  p.app + ".demo",
		"locality": object{"region": p.idc},
		"metadata": object{
			"NAME": p.pod(), "NAMESPACE": "demo", "WORKLOAD_NAME": p.workload(), "CLUSTER_ID": p.idc, "INSTANCE_IPS": p.ip,
			"LABELS": object{
				"app": p.app, "version": p.version,
				"service.istio.io/canonical-name": p.app, "service.istio.io/canonical-revision": p.version,
			},
		},
	}
}

func listener(p proxy, hosts list, id identity, tags list) object {
	log := list{accessLog(tags)}
	options := object{}
	if p.role != server {
		options["upstream_log"] = log // one more entry for each try, which names its host
	}
	router := object{"name": "envoy.filters.http.router", "typed_config": typed("filters.http.router.v3.Router", options)}
	name := [...]string{ingress: "0.0.0.0_8080", client: "virtualOutbound", server: "virtualInbound"}[p.role]
	return object{
		"name":              name,
		"traffic_direction": p.direction(),
		"address":           socket(p.ip, p.port()),
		"filter_chains": list{object{"filters": list{object{
			"name": "envoy.filters.network.http_connection_manager",
			"typed_config": typed("filters.network.http_connection_manager.v3.HttpConnectionManager", object{
				"stat_prefix":        [...]string{ingress: "ingress", client: "outbound", server: "inbound"}[p.role],
				"use_remote_address": p.role == ingress,
				"http_filters":       append(id.filters(p), router),
				"access_log":         log,
				"route_config":       object{"name": "routes", "virtual_hosts": hosts},
			}),
		}}}},
	}
}

// accessLog sends entries to the gateway: what a user adds to an Envoy of his own.
func accessLog(tags list) object {
	return object{"name": "envoy.access_loggers.http_grpc", "typed_config": typed("access_loggers.grpc.v3.HttpGrpcAccessLogConfig", object{
		"common_config":                       logConfig("http_envoy_accesslog", tags),
		"additional_request_headers_to_log":   list{"content-type"},
		"additional_response_headers_to_log":  list{"grpc-status"},
		"additional_response_trailers_to_log": list{"grpc-status"},
	})}
}

func logConfig(name string, tags list) object {
	return object{
		"log_name":                    name,
		"transport_api_version":       "V3",
		"grpc_service":                toGateway(),
		"filter_state_objects_to_log": list{"upstream_peer", "downstream_peer"},
		"custom_tags":                 tags,
		"buffer_flush_interval":       "1s",
	}
}

// statsSink sends Envoy's own stats to the gateway: with tags as labels in the first data centre, with tags embedded in
// names, which is Envoy's default, in the other.
func statsSink(d idc) object {
	return object{"name": "envoy.stat_sinks.metrics_service", "typed_config": object{
		"@type":                 "type.googleapis.com/envoy.config.metrics.v3.MetricsServiceConfig",
		"transport_api_version": "V3",
		"grpc_service":          toGateway(),
		"emit_tags_as_labels":   d.name == "idc1",
	}}
}

// statsTags tell Envoy where the names of clusters end, as Istio does: its own rules end them at the first dot.
func statsTags() object {
	tag := func(name, regex string) object { return object{"tag_name": "envoy." + name, "regex": regex} }
	return object{"use_all_default_tags": false, "stats_tags": list{
		tag("cluster_name", `^cluster\.((.+?(\..+?\.svc\.cluster\.local)?)\.)`),
		tag("tcp_prefix", `^tcp\.((.*?)\.)\w+?$`),
		tag("http_conn_manager_prefix", `^http\.((.*?)\.)`),
		tag("response_code_class", `_rq(_(\dxx))$`),
		tag("response_code", `_rq(_(\d{3}))$`),
	}}
}

func toGateway() object { return object{"envoy_grpc": object{"cluster_name": "lockkeeper"}} }

func gatewayCluster() object {
	c := cluster("lockkeeper", endpoint("127.0.0.1", sinkPort))
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
