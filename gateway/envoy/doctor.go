package envoy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// doctorLook is how long the doctor looks at what the Envoys report, twice their default flush interval.
const doctorLook = 2 * time.Second

// Levels of findings.
const (
	levelOK    = "ok"
	levelWarn  = "warn"
	levelError = "error"
)

// finding is one thing that the doctor found, and what to do about it.
type finding struct {
	Level   string `json:"level"`
	ID      string `json:"id"`      // of the kind of finding
	Subject string `json:"subject"` // nodes, or what it is about
	Text    string `json:"text"`
	Cure    string `json:"cure,omitempty"` // of what is not ok
}

// checkup is all that the findings are told from.
type checkup struct {
	config   *Config
	now      time.Time
	nodes    []nodeStatus
	totals   mesh.Totals
	refused  int64
	coverage []nodeCoverage
	istio    uint64 // values of Istio's own metrics in the stats, which are left out
	samples  []sample
	storage  error   // why the storage cannot be asked
	foreign  float64 // series of istio_requests_total in the storage that no gateway counted
	findings []finding
}

func (c *checkup) add(level, id, subject, text, cure string) {
	c.findings = append(c.findings, finding{level, id, subject, text, cure})
}

// examine serves GET /api/v1/doctor: whether telemetry arrives, from whom, and what is wrong with it.
func (r *envoyReceiver) examine(w http.ResponseWriter, request *http.Request) {
	look := doctorLook
	if text := request.URL.Query().Get("for"); text != "" {
		var err error
		if look, err = time.ParseDuration(text); err != nil || look < 0 || look > 10*time.Second {
			refuseRequest(w, http.StatusBadRequest, fmt.Errorf("parameter \"for\": %q: must be 0s to 10s", text))
			return
		}
	}
	seen := newSampler()
	r.watchers.add(seen)
	timer := time.NewTimer(look)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-request.Context().Done():
	case <-r.tails.done:
	}
	r.watchers.remove(seen)
	now := time.Now()
	c := checkup{config: r.config, now: now, totals: r.aggregator.Totals(), refused: r.refused.Load() + r.refusedStats.Load(), samples: seen.all(), coverage: r.coverages(now)}
	c.nodes = r.nodes(now, &c.totals, c.coverage)
	if r.storage != nil {
		c.foreign, c.storage = countForeign(request.Context(), r.storage)
	}
	for _, n := range r.stats.Nodes(now) {
		c.istio += n.IstioDropped
	}
	c.run()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"findings": c.findings, "nodes": c.nodes}) // the client is gone if this fails
}

// nodes are the Envoys that send something.
func (r *envoyReceiver) nodes(now time.Time, totals *mesh.Totals, coverage []nodeCoverage) []nodeStatus {
	ratios := make(map[string]float64, len(coverage))
	for _, c := range coverage {
		if c.Known {
			ratios[c.Node] = c.Ratio
		}
	}
	nodes := r.senders.status(now)
	for i := range nodes {
		n := &nodes[i]
		n.Entries = totals.Nodes[n.ID].Counted
		if ratio, known := ratios[n.ID]; known {
			n.Coverage, n.Thin = &ratio, ratio < enough
		}
	}
	return nodes
}

// countForeign counts the series of istio_requests_total in the storage that no gateway wrote.
func countForeign(ctx context.Context, storage metricStorage) (float64, error) {
	base, err := storage.QueryURL("")
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	query := url.Values{"query": {`count(istio_requests_total{gateway=""})`}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/api/v1/query?"+query.Encode(), nil)
	if err != nil {
		return 0, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, errors.New(response.Status)
	}
	var answer struct {
		Data struct {
			Result []struct {
				Value [2]json.RawMessage // time and value, which is a text
			}
		}
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&answer); err != nil {
		return 0, err
	}
	if len(answer.Data.Result) == 0 {
		return 0, nil
	}
	var text string
	var n float64
	if err := json.Unmarshal(answer.Data.Result[0].Value[1], &text); err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(text, &n)
	return n, err
}
