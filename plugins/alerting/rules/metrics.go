package main

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
)

// heartbeatMetric has the time, in seconds, at which the plugin wrote it.
const heartbeatMetric = "lockkeeper_rules_heartbeat_timestamp_seconds"

// metrics are the plugin's own. Nothing reads them from it: they are written to the storage, as results are.
type metrics struct {
	registry                        *prometheus.Registry
	queries, reloads                *prometheus.CounterVec
	warnings, written, lost, alerts prometheus.Counter
	heartbeat, troubles             prometheus.Gauge
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "lockkeeper_rules_" + name, Help: help})
	}
	byOutcome := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lockkeeper_rules_" + name, Help: help}, []string{"outcome"})
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		queries:  byOutcome("queries_total", "Queries by what became of them."),
		reloads:  byOutcome("reloads_total", "Changes of rule files."),
		warnings: counter("query_warnings_total", "Answers that came with a warning."),
		written:  counter("samples_written_total", "Samples that the storage has taken."),
		lost:     counter("samples_lost_total", "Samples that the storage has not taken; they are not tried again."),
		alerts:   counter("alerts_sent_total", "Alerts sent to the gateway, repetitions included."),
		heartbeat: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: heartbeatMetric, Help: "When this was written; what cannot be queried has not arrived.",
		}),
		troubles: prometheus.NewGauge(prometheus.GaugeOpts{Name: "lockkeeper_rules_troubles", Help: "Alerts of the plugin's own that fire."}),
	}
	m.registry.MustRegister(m.queries, m.reloads, m.warnings, m.written, m.lost, m.alerts, m.heartbeat, m.troubles)
	return m
}

// samples are the counters and gauges of now, with the label plugin.
func (m *metrics) samples(plugin string, external labels.Labels, ms int64) ([]prompb.TimeSeries, error) {
	families, err := m.registry.Gather()
	if err != nil {
		return nil, err
	}
	var samples []prompb.TimeSeries
	for _, family := range families {
		for _, one := range family.GetMetric() {
			var v float64
			switch family.GetType() {
			case dto.MetricType_COUNTER:
				v = one.GetCounter().GetValue()
			case dto.MetricType_GAUGE:
				v = one.GetGauge().GetValue()
			default:
				continue
			}
			b := labels.NewBuilder(labels.FromStrings(model.MetricNameLabel, family.GetName(), "plugin", plugin))
			for _, l := range one.GetLabel() {
				b.Set(l.GetName(), l.GetValue())
			}
			samples = append(samples, prompb.TimeSeries{
				Labels: prompb.FromLabels(withExternal(b.Labels(), external), nil), Samples: []prompb.Sample{{Timestamp: ms, Value: v}},
			})
		}
	}
	return samples, nil
}
