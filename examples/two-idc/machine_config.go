package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"go.yaml.in/yaml/v3"
)

//go:embed machine/lockkeeper.yaml
var machineConfig []byte

const (
	services  = 50 // each has an endpoint on every machine
	entryPort = 8080
	xdsPort   = 18000

	tryMark = "TRY " // begins a line of an Envoy's log that tells of a try
)

func serviceName(n int) string { return fmt.Sprintf("service-%02d", n) }

func machines() []box { return []box{{"m1", 11}, {"m2", 12}, {"m3", 13}} }

// writeMachines writes what the gateway serves: the files that its configuration names.
func (s *machineStage) writeMachines() error {
	var all, clusters list
	for _, m := range machines() {
		of := object{"name": m.name, "address": s.network.ip(m.host), "idc": "idc1", "probes": list{
			object{"module": "agent", "target": fmt.Sprintf("http://%s:%d/app/status/200", m.name, httpPort)},
		}}
		if !s.network.own {
			of["address"] = fmt.Sprintf("%s:%d", s.network.ip(m.host), httpPort)
		}
		all = append(all, of)
	}
	for n := range services {
		var endpoints list
		for _, m := range machines() {
			endpoints = append(endpoints, object{
				"address": fmt.Sprintf("%s:%d", s.network.ip(m.host), httpPort), "machine": m.name, "workload": serviceName(n) + "-v1", "app": serviceName(n), "version": "v1",
			})
		}
		clusters = append(clusters, object{
			"name": serviceName(n), "connect_timeout": "250ms", "envoy": object{"circuit_breakers": manyRetries()}, "endpoints": endpoints,
		})
	}
	entry, err := s.servedEntry()
	return errors.Join(
		err, os.WriteFile(s.file("machine.yaml"), machineConfig, 0o644),
		s.writeJSON("machines.json", object{"machines": all}),
		s.writeJSON("clusters.json", object{"clusters": clusters}),
		s.writeJSON("listeners.json", object{"resources": list{entry}}),
		s.writeJSON("routes.json", object{"resources": list{serviceRoutes()}}),
	)
}

func (s *machineStage) writeJSON(name string, value any) error {
	text, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(s.file(name), append(text, '\n'), 0o644)
}

// manyRetries lifts Envoy's bound of three retries at a time: a third of all requests needs one while a machine dies.
func manyRetries() object { return object{"thresholds": list{object{"max_retries": 1000}}} }

// serviceRoutes try another machine when one fails or says nothing.
func serviceRoutes() object {
	policy := elsewhere()
	policy["retry_on"], policy["num_retries"], policy["per_try_timeout"] = "connect-failure,refused-stream,reset", 2, "0.5s"
	var routes list
	for n := range services {
		routes = append(routes, object{"match": object{"prefix": "/" + serviceName(n) + "/"}, "route": object{
			"cluster": serviceName(n), "timeout": "3s", "retry_policy": policy,
		}})
	}
	return object{"name": "services", "virtual_hosts": list{object{"name": "all", "domains": list{"*"}, "routes": routes}}}
}

// entryListener takes the requests; its router logs every try.
func entryListener(address object, accessLog, tries list, routes object) object {
	tries = append(tries, object{"name": "tries", "typed_config": typed("access_loggers.stream.v3.StdoutAccessLog", object{
		"log_format": object{"text_format_source": object{"inline_string": tryMark + "%START_TIME(%s.%6f)% %UPSTREAM_HOST% %RESPONSE_CODE% %RESPONSE_FLAGS%\n"}},
	})})
	manager := object{
		"stat_prefix": "entry", "access_log": accessLog,
		"http_filters": list{object{"name": "router", "typed_config": typed("filters.http.router.v3.Router", object{"upstream_log": tries})}},
	}
	for key, value := range routes {
		manager[key] = value
	}
	return object{
		"name": "entry", "address": address,
		"filter_chains": list{object{"filters": list{object{"name": "http", "typed_config": typed("filters.network.http_connection_manager.v3.HttpConnectionManager", manager)}}}},
	}
}

// servedEntry is the listener that the gateway serves, with the access logs of `lockkeeper snippet envoy`.
func (s *machineStage) servedEntry() (object, error) {
	accessLog, tries, err := s.logs(s.network.ip(1))
	if err != nil {
		return nil, err
	}
	address := "0.0.0.0" // each Envoy in a network of its own
	if !s.network.own {
		address = s.network.ip(s.fleets[0].envoys[0].host) // which all share
	}
	routes := object{"rds": object{"route_config_name": "services", "config_source": object{"resource_api_version": "V3", "ads": object{}}}}
	return entryListener(socket(address, entryPort), accessLog, tries, routes), nil
}

// logs are what `lockkeeper snippet envoy` has Envoys log, of requests and of tries.
func (o options) logs(gateway string) (accessLog, tries list, err error) {
	text, err := o.snippet(gateway, "--upstream-log")
	if err != nil {
		return nil, nil, err
	}
	var parts []any
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var part any
		if err := decoder.Decode(&part); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, nil, err
		}
		parts = append(parts, part)
	}
	if len(parts) != 5 {
		return nil, nil, fmt.Errorf("snippet envoy --upstream-log: %d parts, expected 5", len(parts))
	}
	return parts[1].(list), parts[4].(object)["upstream_log"].(list), nil
}

// snippet is the configuration of an Envoy that `lockkeeper snippet envoy` prints.
func (o options) snippet(gateway string, args ...string) ([]byte, error) {
	args = append([]string{"snippet", "envoy", "--address", fmt.Sprintf("%s:%d", gateway, sinkPort)}, args...)
	out, err := exec.Command(o.gateway, args...).Output()
	if err != nil {
		return nil, fmt.Errorf("lockkeeper %v: %w", args, err)
	}
	return out, nil
}

// bootstrap is an Envoy's configuration: for those that ask the gateway exactly what it prints for them.
func (s *machineStage) bootstrap(f *fleet, b box) ([]byte, error) {
	if f.static == nil {
		return s.snippet(s.network.ip(1), "--xds", fmt.Sprintf("%s:%d", s.network.ip(1), xdsPort))
	}
	var clusters list
	for n := range services {
		var endpoints list
		for _, m := range machines() {
			endpoints = append(endpoints, endpoint(s.network.ip(m.host), httpPort))
		}
		c := cluster(serviceName(n), endpoints...)
		c["connect_timeout"], c["circuit_breakers"] = "0.25s", manyRetries()
		for key, value := range f.static {
			c[key] = value
		}
		clusters = append(clusters, c)
	}
	return json.MarshalIndent(object{"static_resources": object{
		"listeners": list{entryListener(socket(s.network.ip(b.host), entryPort), nil, nil, object{"route_config": serviceRoutes()})}, "clusters": clusters,
	}}, "", " ")
}
