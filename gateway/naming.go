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

// naming has the series that a gateway of a cluster makes itself say which one it was, by the label gateway: those of Envoys, those of probes, and its
// self metrics. In one storage the series of two gateways would else be one, which jumps from the one's value to the other's. What is configured stays.
type naming struct{}

// Convert implements confmap.Converter.
func (naming) Convert(_ context.Context, conf *confmap.Conf) error {
	extensions, _ := conf.Get("service::extensions").([]any)
	in := func(extension any) bool { return componentType(fmt.Sprint(extension)) == "cluster" }
	at := slices.IndexFunc(extensions, in)
	if at < 0 {
		return nil
	}
	host, _ := os.Hostname()
	name, _ := conf.Get(fmt.Sprintf("extensions::%v::name", extensions[at])).(string)
	name = cmp.Or(name, host)
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
	return conf.Merge(confmap.NewFromStringMap(map[string]any{"receivers": named}))
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
