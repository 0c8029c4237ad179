package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const consoleURL = "http://localhost:7070"

// gatewayPorts are those of the gateway's default configuration.
func gatewayPorts() map[int]string {
	return map[int]string{
		sinkPort: "Envoy sink", 7070: "console", 4317: "OTLP gRPC", 4318: "OTLP HTTP", 8888: "the gateway's own metrics",
	}
}

func readJSON(ctx context.Context, address string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", address, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("GET %s: %w", address, err)
	}
	return nil
}

// query asks the storage plugin, by the gateway, for all series that it has of a metric.
func query(ctx context.Context, m metric) (tally, error) {
	expression := "sum by (" + m.labels + ") (" + m.selector + ")"
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any // time, value
			}
		}
	}
	if err := readJSON(ctx, consoleURL+"/prometheus/api/v1/query?query="+url.QueryEscape(expression), &answer); err != nil {
		return nil, err
	}
	got := tally{}
	for _, r := range answer.Data.Result {
		var values []string
		for _, name := range strings.Split(m.labels, ",") {
			values = append(values, r.Metric[name])
		}
		text, _ := r.Value[1].(string)
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("value of %v: %w", values, err)
		}
		got[seriesOf(values...)] = value
	}
	return got, nil
}

func queryAll(ctx context.Context) (map[string]tally, error) {
	all := map[string]tally{}
	for name, m := range metrics() {
		var err error
		if all[name], err = query(ctx, m); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return all, nil
}

// An edge is the traffic between two workloads as the gateway shows it.
type edge struct {
	Reporter, IDC       string
	Source, Destination struct{ Workload, App, Version, Service string }
	Protocol            string
	Requests            int
	Rate                float64
	ErrorShare          float64 `json:"error_share"`
	Flags               map[string]int
	P50                 float64 `json:"p50_ms"`
	P99                 float64 `json:"p99_ms"`
}

func edges(ctx context.Context) ([]edge, error) {
	var answer struct{ Edges []edge }
	err := readJSON(ctx, consoleURL+"/api/v1/edges", &answer)
	return answer.Edges, err
}

// await asks a URL until it answers 200.
func await(ctx context.Context, what, address string, within time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("%s is not ready after %v: %s", what, within, address))
	defer cancel()
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
