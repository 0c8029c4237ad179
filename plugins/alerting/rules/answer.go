package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
)

// answer is one of the Prometheus API.
type answer struct {
	Status    string          `json:"status"`
	ErrorType string          `json:"errorType"`
	Error     string          `json:"error"`
	Warnings  []string        `json:"warnings"`
	IsPartial bool            `json:"isPartial"` // VictoriaMetrics's, of a cluster that misses a node
	Data      json.RawMessage `json:"data"`
}

// result is the data of a query.
type result struct {
	Type   string          `json:"resultType"`
	Result json.RawMessage `json:"result"`
}

// series is an element of a result; one with a native histogram has neither value nor values.
type series struct {
	Metric map[string]string `json:"metric"`
	Value  *point            `json:"value"`
	Values []point           `json:"values"`
}

// point is a sample: [seconds, "value"].
type point struct {
	ms int64
	v  float64
}

func (p *point) UnmarshalJSON(text []byte) error {
	var seconds float64
	var v string
	pair := []any{&seconds, &v}
	if err := json.Unmarshal(text, &pair); err != nil {
		return err
	}
	if len(pair) != 2 || math.Abs(seconds) > math.MaxInt64/2000 {
		return errors.New("want [seconds, \"value\"]")
	}
	p.ms = int64(math.Round(seconds * 1000))
	var err error
	p.v, err = strconv.ParseFloat(v, 64)
	return err
}

func (a *answer) warning() string {
	told := strings.Join(a.Warnings, "; ")
	if a.IsPartial {
		told = strings.TrimPrefix(told+"; the answer is partial: a node is missing", "; ")
	}
	return told
}

// vector is the result of an instant query as rules want it: a scalar is a vector without labels.
func (a *answer) vector() (promql.Vector, error) {
	var data result
	if err := json.Unmarshal(a.Data, &data); err != nil {
		return nil, fmt.Errorf("the storage's answer cannot be read: %w", err)
	}
	switch data.Type {
	case "scalar":
		var p point
		if err := json.Unmarshal(data.Result, &p); err != nil {
			return nil, fmt.Errorf("the storage's scalar cannot be read: %w", err)
		}
		return promql.Vector{{T: p.ms, F: p.v}}, nil
	case "vector":
		all, err := data.series()
		if err != nil {
			return nil, err
		}
		vector := make(promql.Vector, 0, len(all))
		for _, one := range all {
			if one.Value == nil {
				return nil, &refused{fmt.Sprintf("%v is a native histogram: only floats can be read", one.Metric)}
			}
			vector = append(vector, promql.Sample{T: one.Value.ms, F: one.Value.v, Metric: labels.FromMap(one.Metric)})
		}
		return vector, nil
	}
	return nil, &refused{fmt.Sprintf("the query's result is a %q: want a vector or a scalar", data.Type)}
}

// newest is the last sample of each series of a matrix. What is no number marks the end of a series, as nothing else has
// no number where this is used.
func (a *answer) newest() ([]promql.Series, error) {
	var data result
	if err := json.Unmarshal(a.Data, &data); err != nil {
		return nil, fmt.Errorf("the storage's answer cannot be read: %w", err)
	}
	all, err := data.series()
	if err != nil {
		return nil, err
	}
	var found []promql.Series
	for _, one := range all {
		if len(one.Values) == 0 {
			continue
		}
		last := one.Values[len(one.Values)-1]
		if math.IsNaN(last.v) {
			last.v = math.Float64frombits(value.StaleNaN)
		}
		found = append(found, promql.Series{Metric: labels.FromMap(one.Metric), Floats: []promql.FPoint{{T: last.ms, F: last.v}}})
	}
	return found, nil
}

func (r *result) series() (all []series, err error) {
	if err := json.Unmarshal(r.Result, &all); err != nil {
		return nil, fmt.Errorf("the storage's %s cannot be read: %w", r.Type, err)
	}
	return all, nil
}

// names is the answer of label values.
func (a *answer) names() (names []string, err error) {
	if err := json.Unmarshal(a.Data, &names); err != nil {
		return nil, fmt.Errorf("the storage's names cannot be read: %w", err)
	}
	return names, nil
}
