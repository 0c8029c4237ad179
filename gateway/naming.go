package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"
)

// instanceID becomes the label instance of the self metrics. Left to the Collector it is another one after each start and reload: what was told before would
// stand beside what is told now, and every series would begin anew.
const instanceID = "service.instance.id"

// naming has the series that a gateway makes itself say which one it was: its self metrics by the label instance, and in a cluster those of Envoys, those of
// probes and its self metrics by the label gateway. In one storage the series of two gateways would else be one, which jumps from the one's value to the
// other's. What is configured stays.
type naming struct{}

// Convert implements confmap.Converter.
func (naming) Convert(_ context.Context, conf *confmap.Conf) error {
	name, clustered := gatewayName(conf)
	changes := map[string]any{}
	if clustered {
		changes["receivers"] = nameReceivers(conf, name)
	}
	if attributes := nameInstance(conf, name); attributes != nil {
		changes["service"] = map[string]any{"telemetry": map[string]any{"resource": map[string]any{"attributes": attributes}}}
	}
	return conf.Merge(confmap.NewFromStringMap(changes))
}

// nameInstance is the resource's attributes with the instance before them, or nil where it is configured, or anything in the older form, a map: the
// Collector takes only one of the two.
func nameInstance(conf *confmap.Conf, name string) []any {
	resource, _ := conf.Get("service::telemetry::resource").(map[string]any)
	attributes, listed := resource["attributes"].([]any)
	said := slices.ContainsFunc(attributes, func(attribute any) bool {
		a, _ := attribute.(map[string]any)
		return a["name"] == instanceID
	})
	if name == "" || said || !conf.IsSet("service::telemetry") || len(resource) > 0 && !listed {
		return nil
	}
	return append([]any{map[string]any{"name": instanceID, "value": name}}, attributes...)
}

// gatewayName is the name in the cluster, or the host's.
func gatewayName(conf *confmap.Conf) (name string, clustered bool) {
	name, _ = os.Hostname() // empty if nobody knows
	extensions, _ := conf.Get("service::extensions").([]any)
	in := func(extension any) bool { return componentType(fmt.Sprint(extension)) == "cluster" }
	at := slices.IndexFunc(extensions, in)
	if at < 0 {
		return name, false
	}
	said, _ := conf.Get(fmt.Sprintf("extensions::%v::name", extensions[at])).(string)
	return cmp.Or(said, name), true
}

// nameReceivers labels what the receivers make.
func nameReceivers(conf *confmap.Conf, name string) map[string]any {
	receivers, _ := conf.ToStringMap()["receivers"].(map[string]any)
	named := map[string]any{}
	for id, config := range receivers {
		settings, ok := config.(map[string]any)
		switch componentType(id) {
		case "envoy", "probes":
			if _, said := settings["gateway"]; !said && (ok || config == nil) {
				named[id] = map[string]any{"gateway": name}
			}
		case "prometheus":
			if scrapes, ok := conf.Get("receivers::" + id + "::config::scrape_configs").([]any); ok {
				named[id] = map[string]any{"config": map[string]any{"scrape_configs": nameJobs(scrapes, name)}}
			}
		}
	}
	return named
}

// nameJobs labels the targets of the job lockkeeper.
func nameJobs(scrapes []any, name string) []any {
	return eachMap(scrapes, func(scrape map[string]any) {
		targets, ok := scrape["static_configs"].([]any)
		if ok && scrape["job_name"] == "lockkeeper" {
			scrape["static_configs"] = eachMap(targets, func(target map[string]any) {
				labels := map[string]any{"gateway": name}
				said, _ := target["labels"].(map[string]any)
				maps.Copy(labels, said)
				target["labels"] = labels
			})
		}
	})
}

// eachMap changes copies of those of a list that are maps.
func eachMap(list []any, change func(map[string]any)) []any {
	list = slices.Clone(list)
	for i, element := range list {
		if m, ok := element.(map[string]any); ok {
			m = maps.Clone(m)
			change(m)
			list[i] = m
		}
	}
	return list
}

func componentType(id string) string {
	kind, _, _ := strings.Cut(id, "/")
	return kind
}
