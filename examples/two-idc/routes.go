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
//
// Other paths have no route. Ports of the service set the ways to the application apart, so that Istio's names for
// clusters do.
const (
	scarcePort = 9081
	closedPort = 9082
	barePort   = 9083

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
		for _, to := range []struct{ servicePort, podPort int }{
			{httpPort, s.port()}, {grpcPort, s.port()}, {scarcePort, s.port()}, {closedPort, unusedPort}, {barePort, httpPort},
		} {
			e := endpoint(s.ip, to.podPort)
			e["metadata"] = id.endpointMetadata(s)
			c := cluster(outbound(to.servicePort, s.version), e)
			if to.servicePort == scarcePort {
				c["circuit_breakers"] = object{"thresholds": list{object{"max_connections": 1, "max_pending_requests": 1}}}
			}
			clusters = append(clusters, c)
		}
	}
	return clusters
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
			{"/scarce/", scarcePort, nil},
			{"/closed/", closedPort, nil},
			{"/bare/", barePort, nil},
			{"/" + rpcService + "/", grpcPort, nil},
		} {
			r := route(way.prefix, outbound(way.port, s.version), way.action)
			r["match"].(object)["headers"] = list{object{"name": "x-version", "string_match": object{"exact": s.version}}}
			routes = append(routes, r)
		}
	}
	return routes
}

func serverClusters(p proxy) list {
	var clusters list
	for _, port := range []int{httpPort, grpcPort, stoppedPort} {
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
