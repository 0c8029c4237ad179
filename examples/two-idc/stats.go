package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"
)

// What is compared of Envoy's stats, by the names that its own Prometheus endpoint has for them.
const (
	statsLabels = "__name__,node,envoy_cluster_name,envoy_http_conn_manager_prefix,envoy_tcp_prefix"
	statsNames  = "envoy_(http_downstream_rq_total|cluster_upstream_rq_total|cluster_upstream_cx_connect_fail|tcp_downstream_cx_total)"

	connectFails = "envoy_cluster_upstream_cx_connect_fail"
)

// stats asks every Envoy for its own figures. Those of the admin page and of the way to the gateway are left out: they move
// as they are asked for.
func (d *demo) stats(ctx context.Context) (tally, error) {
	all := tally{}
	for _, dc := range twoIDCs() {
		for _, p := range dc.proxies() {
			if err := all.addStats(ctx, p); err != nil {
				return nil, fmt.Errorf("stats of %s: %w", p.name(), err)
			}
		}
	}
	return all, nil
}

func (t tally) addStats(ctx context.Context, p proxy) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	address := fmt.Sprintf("http://%s:%d/stats/prometheus?usedonly&filter=%s", p.ip, adminPort,
		url.QueryEscape(`^(http|cluster|tcp)\..*\.(downstream_rq_total|upstream_rq_total|upstream_cx_connect_fail|downstream_cx_total)$`))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return t.readStats(p, response.Body)
}

// readStats adds the samples in the text of Envoy's Prometheus endpoint.
func (t tally) readStats(p proxy, text io.Reader) error {
	line := regexp.MustCompile(`^(` + statsNames + `)\{(.*)\} ([0-9]+)$`)
	label := regexp.MustCompile(`(\w+)="([^"]*)"`)
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		found := line.FindStringSubmatch(lines.Text())
		if found == nil {
			continue
		}
		labels := map[string]string{}
		for _, l := range label.FindAllStringSubmatch(found[len(found)-2], -1) {
			labels[l[1]] = l[2]
		}
		if labels["envoy_cluster_name"] == "lockkeeper" || labels["envoy_http_conn_manager_prefix"] == "admin" {
			continue
		}
		value, err := strconv.ParseFloat(found[len(found)-1], 64)
		if err != nil {
			return err
		}
		t[seriesOf(found[1], p.nodeID(), labels["envoy_cluster_name"], labels["envoy_http_conn_manager_prefix"], labels["envoy_tcp_prefix"])] += value
	}
	return lines.Err()
}

// refusals are the tries of a caller that the endpoint beside the application's refused.
func (t tally) refusals(c *caller) float64 {
	return t[seriesOf(connectFails, c.from.nodeID(), outbound(pairedPort, c.to.version), "", "")]
}
