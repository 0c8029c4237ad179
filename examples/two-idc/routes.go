package main

import "fmt"

// A path's first segment chooses the route, the header x-version the application's version.
//
//	/app/      the application, by its sidecar
//	/hurried/  the same with a short timeout
//	/retried/  the same, 5xx are tried three times
//	/scarce/   the same, one request at a time
//	/empty/    a version without endpoints
//	/closed/   a port of the pod where nothing listens
//	/bare/     the application without its sidecar
//	/stopped/  its sidecar, which finds no application behind it
//	/paired/   two endpoints, of which one refuses; Envoy tries the other
//
// Other paths have no route. Ports of the service set the ways to the application apart, so that Istio's names for
// clusters do.
const (
	scarcePort = 9081
	closedPort = 9082
	barePort   = 9083
	pairedPort = 9085

	stoppedPort = 9084 // of the pod; no application listens there
	unusedPort  = 15007

	noSubset = "v3"   // a version of the application without endpoints
	hurry    = "0.5s" // the timeout of the route that has one
)

func outbound(port int, subset string) string {
	return fmt.Sprintf("outbound|%d|%s|%s", port, subset, serviceHost)
}

// callerClusters are the ways of ingress and client to the servers of their data centre.
func callerClusters(d idc, id identity) list {
	clusters := list{cluster(outbound(httpPort, noSubset))}
	for _, s := range d.servers {
		for _, servicePort := range servicePorts() {
			var endpoints list
			for _, podPort := range podPorts(servicePort) {
				e := endpoint(s.ip, podPort)
				e["metadata"] = id.endpointMetadata(s)
				endpoints = append(endpoints, e)
			}
			c := cluster(outbound(servicePort, s.version), endpoints...)
			if servicePort == scarcePort {
				c["circuit_breakers"] = object{"thresholds": list{object{"max_connections": 1, "max_pending_requests": 1}}}
			}
			clusters = append(clusters, c)
		}
	}
	return clusters
}

func hostOf(app string) string { return app + ".demo.svc.cluster.local" }

// behindCluster and behindHost are an ingress's way to another service.
func behindCluster(b proxy, id identity) object {
	e := endpoint(b.ip, b.port())
	e["metadata"] = id.endpointMetadata(b)
	return cluster(behindName(b), e)
}

func behindHost(b proxy) object {
	return object{"name": hostOf(b.app), "domains": list{hostOf(b.app), hostOf(b.app) + ":*"}, "routes": list{route("/", behindName(b), nil)}}
}

func behindName(b proxy) string {
	return fmt.Sprintf("outbound|%d|%s|%s", httpPort, b.version, hostOf(b.app))
}

func servicePorts() []int {
	return []int{httpPort, grpcPort, scarcePort, closedPort, barePort, pairedPort, tcpPort, tcpStoppedPort, tcpClosedPort}
}

// podPorts are where a port of the service leads to in a pod: to its sidecar, but for the exceptions.
func podPorts(servicePort int) []int {
	switch servicePort {
	case closedPort, tcpClosedPort:
		return []int{unusedPort}
	case barePort:
		return []int{httpPort}
	case pairedPort:
		return []int{inboundPort, unusedPort}
	case tcpPort:
		return []int{tcpInboundPort}
	case tcpStoppedPort:
		return []int{tcpInboundStoppedPort}
	default:
		return []int{inboundPort}
	}
}

func callerHost(p proxy, d idc, id identity) object {
	return object{
		"name": serviceHost + ":9080", "domains": list{serviceHost, serviceHost + ":*"},
		"request_headers_to_add": id.requestHeaders(p), "routes": callerRoutes(d),
	}
}

func callerRoutes(d idc) list {
	routes := list{route("/empty/", outbound(httpPort, noSubset), nil)}
	for _, s := range d.servers {
		for _, way := range []struct {
			prefix string
			port   int
			action object
		}{
			{"/app/", httpPort, nil},
			{"/stopped/", httpPort, nil},
			{"/hurried/", httpPort, object{"timeout": hurry}},
			{"/retried/", httpPort, object{"retry_policy": object{"retry_on": "5xx", "num_retries": retries}}},
			{"/paired/", pairedPort, object{"retry_policy": elsewhere()}},
			{"/scarce/", scarcePort, nil},
			{"/closed/", closedPort, nil},
			{"/bare/", barePort, nil},
			{"/" + rpcService + "/", grpcPort, nil},
		} {
			r := route(way.prefix, outbound(way.port, s.version), way.action)
			if way.port == grpcPort {
				// Told of the caller's deadline, the application would end the call at the very moment when the caller leaves.
				r["request_headers_to_remove"] = list{"grpc-timeout"}
			}
			r["match"].(object)["headers"] = list{object{"name": "x-version", "string_match": object{"exact": s.version}}}
			routes = append(routes, r)
		}
	}
	return routes
}

// elsewhere is the policy to try another endpoint when one refuses.
func elsewhere() object {
	return object{
		"retry_on": "connect-failure", "num_retries": 1, "host_selection_retry_max_attempts": 5,
		"retry_host_predicate": list{object{
			"name":         "envoy.retry_host_predicates.previous_hosts",
			"typed_config": typed("retry.host.previous_hosts.v3.PreviousHostsPredicate", object{}),
		}},
	}
}

func serverClusters(p proxy) list {
	var clusters list
	for _, port := range []int{httpPort, grpcPort, stoppedPort, tcpPort} {
		clusters = append(clusters, cluster(inbound(port), endpoint(p.ip, port)))
	}
	return clusters
}

func serverHost(p proxy, id identity) object {
	return object{
		"name": "inbound|http|9080", "domains": list{"*"}, "response_headers_to_add": id.responseHeaders(p),
		"routes": list{
			route("/stopped/", inbound(stoppedPort), nil),
			route("/"+rpcService+"/", inbound(grpcPort), nil),
			route("/", inbound(httpPort), nil),
		},
	}
}

func inbound(port int) string { return fmt.Sprintf("inbound|%d||", port) }

// route sends a prefix to a cluster, without Envoy's own timeout of 15 s.
func route(prefix, cluster string, action object) object {
	a := object{"cluster": cluster, "timeout": "0s"}
	for k, v := range action {
		a[k] = v
	}
	return object{"name": "default", "match": object{"prefix": prefix}, "route": a}
}
