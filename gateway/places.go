package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"
)

// printPlaces tells people where things are, as far as the configuration has them.
func printPlaces(out io.Writer, c *configuration) {
	fmt.Fprintln(out, "Lockkeeper is ready.")
	show := func(what string, where ...string) {
		if where = slices.DeleteFunc(where, func(s string) bool { return s == "" }); len(where) > 0 {
			fmt.Fprintf(out, "  %-11s %s\n", what, strings.Join(where, ", "))
		}
	}
	for _, id := range used(c.effective) {
		at := func(key string) string { return text(c.effective, id+"::"+key) }
		switch kind, _, _ := strings.Cut(id, "/"); kind {
		case "receivers::envoy":
			show("Envoy sink", at("endpoint")+" (gRPC); what to put into Envoy: lockkeeper snippet envoy --address "+at("endpoint"))
		case "receivers::otlp":
			show("OTLP", suffixed(at("protocols::grpc::endpoint"), " (gRPC)"), suffixed(at("protocols::http::endpoint"), " (HTTP)"))
		case "extensions::console":
			scheme := "http://"
			if c.resolved.IsSet(id + "::tls") {
				scheme = "https://"
			}
			show("Console", scheme+at("endpoint")+"/")
			show("vmui", scheme+at("endpoint")+"/vmui/")
			show("PromQL", scheme+at("endpoint")+"/prometheus/")
			show("Logs", scheme+at("endpoint")+"/logs/")
		case "extensions::dns":
			show("DNS", strings.Trim(at("endpoint"), "[]")+" (UDP, TCP)")
		}
	}
	show("Data", dataDirectories(c)...)
}

// dataDirectories are where a gateway keeps what outlives it.
func dataDirectories(c *configuration) (data []string) {
	for _, id := range used(c.effective) {
		at := func(key string) string { return text(c.effective, id+"::"+key) }
		switch kind, _, _ := strings.Cut(id, "/"); kind {
		case "extensions::file_storage":
			data = append(data, at("directory"))
		case "extensions::alerting", "extensions::failover":
			data = append(data, at("data_directory"))
		case "extensions::plugins":
			processes, _ := c.resolved.Sub(id + "::processes")
			for name := range processes.ToStringMap() {
				data = append(data, text(processes, name+"::config::data_directory"))
			}
		}
	}
	slices.Sort(data)
	return slices.DeleteFunc(data, func(s string) bool { return s == "" })
}

// used lists the receivers and extensions that run, as kind::id.
func used(conf *confmap.Conf) []string {
	var ids []string
	add := func(kind string, list any) {
		names, _ := list.([]any)
		for _, name := range names {
			if id := fmt.Sprint(kind, "::", name); !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	pipelines, _ := conf.Get("service::pipelines").(map[string]any)
	for name := range pipelines {
		add("receivers", conf.Get("service::pipelines::"+name+"::receivers"))
	}
	slices.Sort(ids)
	add("extensions", conf.Get("service::extensions"))
	return ids
}

// text is a value as text; empty when there is none.
func text(conf *confmap.Conf, key string) string {
	if value := conf.Get(key); value != nil {
		return fmt.Sprint(value)
	}
	return ""
}

func suffixed(s, suffix string) string {
	if s == "" {
		return ""
	}
	return s + suffix
}
