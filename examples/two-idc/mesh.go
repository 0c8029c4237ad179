package main

import "fmt"

// serviceHost is the service that everything here calls.
const serviceHost = "backend.demo.svc.cluster.local"

// A role is what an Envoy does in the mesh.
type role int

const (
	ingress role = iota // takes traffic from outside, reports as source
	client              // sidecar of the caller, reports as source
	server              // sidecar of the application, reports as destination
)

// reporter is the side that an Envoy's access log speaks for.
func (r role) reporter() string {
	return [...]string{ingress: "source", client: "source", server: "destination"}[r]
}

// A proxy is an Envoy and the workload that it stands for.
type proxy struct {
	role    role
	idc     string
	ip      string
	app     string
	version string
}

func (p proxy) workload() string { return p.app + "-" + p.version }
func (p proxy) name() string     { return p.idc + "-" + p.workload() }

func (p proxy) pod() string { return fmt.Sprintf("%s-5d8f7c9b64-%s", p.workload(), p.idc) }

func (p proxy) nodeID() string {
	kind := "sidecar"
	if p.role == ingress {
		kind = "router"
	}
	return fmt.Sprintf("%s~%s~%s.demo~demo.svc.cluster.local", kind, p.ip, p.pod())
}

// port is where the Envoy takes traffic; those of sidecars are Istio's.
func (p proxy) port() int { return [...]int{ingress: 8080, client: 15001, server: inboundPort}[p.role] }

// direction is that of the traffic, in Envoy's words.
func (p proxy) direction() string {
	if p.role == server {
		return "INBOUND"
	}
	return "OUTBOUND"
}

func (p proxy) address() string { return fmt.Sprintf("%s:%d", p.ip, p.port()) }

// An idc is one data centre: two callers, and an application in two versions.
type idc struct {
	name    string
	callers []proxy
	servers []proxy
	behind  []proxy // other services that the ingress leads to; who makes them starts them
}

// twoIDCs is the whole mesh, on addresses of the loopback network.
func twoIDCs() []idc {
	var all []idc
	for n := 1; n <= 2; n++ {
		name := fmt.Sprintf("idc%d", n)
		at := func(host int) string { return fmt.Sprintf("127.%d.0.%d", n, host) }
		all = append(all, idc{
			name: name,
			callers: []proxy{
				{ingress, name, at(1), "ingress", "v1"},
				{client, name, at(11), "frontend", "v1"},
			},
			servers: []proxy{
				{server, name, at(21), "backend", "v1"},
				{server, name, at(22), "backend", "v2"},
			},
		})
	}
	return all
}

func (d idc) proxies() []proxy { return append(append([]proxy{}, d.callers...), d.servers...) }
