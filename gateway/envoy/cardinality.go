package envoy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/lockkeeper/lockkeeper/gateway/envoy/stats"
	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

const (
	cardinalityTop  = 20              // edges and stats that are named
	unqueriedTop    = 1000            // stored metrics that are named
	storagePatience = 5 * time.Second // for each of the storage's answers
)

// metricStorage is what the receiver needs of the extension that runs the plugins.
type metricStorage interface {
	// QueryURL is the base URL of a plugin's read API; the empty name means the metric storage.
	QueryURL(plugin string) (string, error)
}

// cardinality is the answer of GET /api/v1/cardinality.
type cardinality struct {
	At          time.Time        `json:"at"`
	Series      seriesCost       `json:"series"`
	Labels      []mesh.LabelCost `json:"labels"`
	Edges       []mesh.EdgeCost  `json:"edges"`
	Metrics     []stats.NameCost `json:"metrics"`
	Authorities authorityCost    `json:"authorities"`
	Stats       statsCost        `json:"stats"`
	Unqueried   unqueried        `json:"unqueried"`
}

// seriesCost is about the label sets of istio_*.
type seriesCost struct {
	Kept     int    `json:"kept"`
	Max      int    `json:"max"`
	Overflow uint64 `json:"overflow"`
}

type authorityCost struct {
	Kept int `json:"kept"`
	Max  int `json:"max"`
}

type statsCost struct {
	Series  int              `json:"series"`
	Metrics []stats.NameCost `json:"metrics"`
}

// unqueried are the stored metrics that nobody has asked for since the storage began to count.
type unqueried struct {
	Since   *time.Time       `json:"since,omitempty"`
	Metrics []stats.NameCost `json:"metrics"`
	Error   string           `json:"error,omitempty"`
}

// cardinality answers with what series are spent on, and on which for nothing.
func (r *envoyReceiver) cardinality(w http.ResponseWriter, request *http.Request) {
	c := r.aggregator.Cardinality(cardinalityTop)
	answer := cardinality{
		At: time.Now().UTC(), Series: seriesCost{c.Kept, c.Max, c.Overflow}, Labels: c.Labels, Edges: c.Edges,
		Metrics: storedSeries(r.config.MetricPrefix, c.Protocols), Authorities: authorityCost{c.Authorities, c.MaxAuthorities},
	}
	if r.config.RequestsFrom == "stats" { // label sets are counted, for lockkeeper_*, but not handed on
		answer.Metrics = []stats.NameCost{}
	}
	answer.Stats.Metrics, answer.Stats.Series = r.stats.Costs(cardinalityTop)
	var err error
	if answer.Unqueried, err = r.askStorage(request.Context()); err != nil {
		answer.Unqueried = unqueried{Metrics: []stats.NameCost{}, Error: err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the client is gone if this fails
}

// storedSeries estimates what label sets become in a Prometheus storage.
func storedSeries(prefix string, byProtocol map[string]int) (costs []stats.NameCost) {
	var http, tcp int
	for protocol, n := range byProtocol {
		if protocol == "tcp" {
			tcp += n
		} else {
			http += n
		}
	}
	histogram := http * (len(mesh.Distribution{}.Buckets) + 2) // sum and count
	for _, c := range []stats.NameCost{
		{Name: "istio_request_duration_milliseconds", Series: histogram},
		{Name: "istio_request_bytes", Series: histogram},
		{Name: "istio_response_bytes", Series: histogram},
		{Name: "istio_requests_total", Series: http},
		{Name: "istio_tcp_connections_opened_total", Series: tcp},
		{Name: "istio_tcp_connections_closed_total", Series: tcp},
		{Name: "istio_tcp_received_bytes_total", Series: tcp},
		{Name: "istio_tcp_sent_bytes_total", Series: tcp},
	} {
		c.Name = prefix + c.Name
		costs = append(costs, c)
	}
	return costs
}

// askStorage asks the metric storage for its own statistics of queries. How many series each of the metrics has today it tells
// only of the largest.
func (r *envoyReceiver) askStorage(ctx context.Context) (answer unqueried, err error) {
	if r.storage == nil {
		return answer, errors.New("no extension runs a storage plugin")
	}
	base, err := r.storage.QueryURL("")
	if err != nil {
		return answer, fmt.Errorf("the metric storage is not up: %w", err)
	}
	var names struct {
		Since   int64 `json:"statsCollectedSince"`
		Records []struct {
			Name string `json:"metricName"`
		}
	}
	if err := storageJSON(ctx, fmt.Sprintf("%s/api/v1/status/metric_names_stats?le=0&limit=%d", base, unqueriedTop), &names); err != nil {
		return answer, err
	}
	var largest struct {
		Data struct {
			Metrics []struct {
				Name   string
				Series int `json:"value"`
			} `json:"seriesCountByMetricName"`
		}
	}
	if err := storageJSON(ctx, fmt.Sprintf("%s/api/v1/status/tsdb?topN=%d", base, unqueriedTop), &largest); err != nil {
		return answer, err
	}
	series := map[string]int{}
	for _, m := range largest.Data.Metrics {
		series[m.Name] = m.Series
	}
	if names.Since > 0 {
		since := time.Unix(names.Since, 0).UTC()
		answer.Since = &since
	}
	answer.Metrics = make([]stats.NameCost, 0, len(names.Records))
	for _, m := range names.Records {
		answer.Metrics = append(answer.Metrics, stats.NameCost{Name: m.Name, Series: series[m.Name]})
	}
	slices.SortFunc(answer.Metrics, func(x, y stats.NameCost) int {
		return cmp.Or(cmp.Compare(y.Series, x.Series), cmp.Compare(x.Name, y.Name))
	})
	return answer, nil
}

func storageJSON(ctx context.Context, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, storagePatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // seldom asked
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("the metric storage does not answer: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the metric storage answers %s to %s", response.Status, request.URL.Path)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 16<<20)).Decode(into); err != nil {
		return fmt.Errorf("the metric storage's answer to %s: %w", request.URL.Path, err)
	}
	return nil
}
