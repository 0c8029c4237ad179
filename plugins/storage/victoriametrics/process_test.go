package main

import (
	"encoding/json"
	"net/url"
	"strconv"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/lockkeeper/lockkeeper/plugins/storage/storagetest"
)

func TestMain(m *testing.M) { storagetest.Main(m) }

// process is the real plugin in a process of its own.
type process struct {
	*storagetest.Process
	t testing.TB
}

// start runs the plugin on the data in directory.
func start(t testing.TB, directory string) *process {
	t.Helper()
	return &process{storagetest.Start(t, directory), t}
}

func (p *process) export(m pmetric.Metrics) error {
	request, err := pmetricotlp.NewExportRequestFromMetrics(m).MarshalProto()
	if err != nil {
		return err
	}
	return p.Export(p.t.Context(), storagetest.ExportMetrics, request)
}

// mustExport fails the test unless the request is acknowledged.
func (p *process) mustExport(m pmetric.Metrics) {
	p.t.Helper()
	if err := p.export(m); err != nil {
		p.t.Fatal(err)
	}
}

// eventually waits for an instant query to have the one value want: what was written is visible after about
// half a second.
func (p *process) eventually(query string, want float64) {
	p.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	var got []sample
	for time.Now().Before(deadline) {
		if got = p.ask(query); len(got) == 1 && got[0].value == want {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.t.Fatalf("%s: got %v, want one value %v\n%s", query, got, want, p.Log)
}

type sample struct {
	labels map[string]string
	value  float64
}

// ask runs an instant query.
func (p *process) ask(query string) []sample {
	p.t.Helper()
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	body := p.Get("/api/v1/query?nocache=1&query=" + url.QueryEscape(query))
	if err := json.Unmarshal(body, &answer); err != nil {
		p.t.Fatalf("%s: %v: %s", query, err, body)
	}
	var samples []sample
	for _, r := range answer.Data.Result {
		text, _ := r.Value[1].(string)
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		samples = append(samples, sample{r.Metric, value})
	}
	return samples
}

// counter is a request with one point of a counter.
func counter(name string, at time.Time, value float64, attributes map[string]any) pmetric.Metrics {
	m := pmetric.NewMetrics()
	metric := m.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName(name)
	sum := metric.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	point := sum.DataPoints().AppendEmpty()
	point.SetTimestamp(pcommon.NewTimestampFromTime(at))
	point.SetDoubleValue(value)
	_ = point.Attributes().FromRaw(attributes)
	return m
}
