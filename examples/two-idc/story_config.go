package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// hosted are the services on the machines, each in one version.
func hosted() []string { return []string{"orders", "payments", "stock"} }

// storyIDCs are the two data centres; behind each ingress is a shop besides, an Envoy that takes its clusters from the gateway.
func storyIDCs() []idc {
	all := twoIDCs()
	for i := range all {
		all[i].behind = []proxy{{client, all[i].name, fmt.Sprintf("127.%d.0.31", i+1), "shop", "v1"}}
	}
	return all
}

// storyMachines are those of a data centre; each has an endpoint of each hosted service.
func storyMachines(n int) []box {
	all := make([]box, 3)
	for i := range all {
		all[i] = box{fmt.Sprintf("m%d", 3*n+i+1), 3*n + i + 11}
	}
	return all
}

func hostedIn(service string, dc idc) string { return service + "-" + dc.name }

// prepareStory writes what the gateway reads: its configurations, a rule, and the files of machines and clusters.
func prepareStory(directory string) error {
	var all, clusters list
	for n, dc := range storyIDCs() {
		for _, m := range storyMachines(n) {
			all = append(all, object{"name": m.name, "address": fmt.Sprintf("%s:%d", network{}.ip(m.host), httpPort), "idc": dc.name, "probes": list{
				object{"module": "agent", "target": fmt.Sprintf("http://%s:%d/app/status/200", m.name, httpPort)},
			}})
		}
		for _, service := range hosted() {
			clusters = append(clusters, hostedCluster(service, n, dc))
		}
	}
	machines, err := json.Marshal(object{"machines": all})
	if err != nil {
		return err
	}
	served, err := json.Marshal(object{"clusters": clusters})
	return errors.Join(
		err,
		os.WriteFile(filepath.Join(directory, "machines.json"), machines, 0o644),
		os.WriteFile(filepath.Join(directory, "clusters.json"), served, 0o644),
		os.WriteFile(filepath.Join(directory, "idc.yaml"), idcConfig, 0o644),
		os.WriteFile(filepath.Join(directory, "story.yaml"), storyConfig, 0o644),
		os.Mkdir(filepath.Join(directory, "rules"), 0o755),
		os.WriteFile(filepath.Join(directory, "rules", "story.yaml"), storyRules, 0o644),
	)
}

func hostedCluster(service string, n int, dc idc) object {
	var endpoints list
	for _, m := range storyMachines(n) {
		endpoints = append(endpoints, object{
			"address": fmt.Sprintf("%s:%d", network{}.ip(m.host), httpPort), "machine": m.name, "workload": service + "-v1", "app": service, "version": "v1",
		})
	}
	return object{"name": hostedIn(service, dc), "connect_timeout": "250ms", "endpoints": endpoints}
}

// shopConfig is the bootstrap that the gateway prints for an Envoy that asks it, with the name of a shop and a listener of its own.
func (o options) shopConfig(p proxy, dc idc) ([]byte, error) {
	text, err := o.snippet("127.0.0.1", "--xds", fmt.Sprintf("127.0.0.1:%d", xdsPort))
	if err != nil {
		return nil, err
	}
	var config object
	if err := yaml.Unmarshal(text, &config); err != nil {
		return nil, err
	}
	accessLog, tries, err := o.logs("127.0.0.1")
	if err != nil {
		return nil, err
	}
	policy := elsewhere()
	policy["retry_on"], policy["per_try_timeout"] = "connect-failure,refused-stream,reset", "0.5s"
	var routes list
	for _, service := range hosted() {
		routes = append(routes, object{"match": object{"prefix": "/" + service + "/"}, "route": object{
			"cluster": hostedIn(service, dc), "host_rewrite_literal": hostOf(service), "timeout": "3s", "retry_policy": policy,
		}})
	}
	config["node"] = node(p)
	config["admin"] = object{"address": socket(p.ip, adminPort)}
	config["static_resources"].(object)["listeners"] = list{entryListener(socket(p.ip, p.port()), accessLog, tries, object{
		"route_config": object{"name": "shop", "validate_clusters": false, "virtual_hosts": list{object{"name": "all", "domains": list{"*"}, "routes": routes}}},
	})}
	return json.Marshal(config)
}
