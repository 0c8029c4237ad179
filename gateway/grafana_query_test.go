package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// viewer runs the queries of boards as Grafana does, against the query API of a gateway.
type viewer struct {
	prometheus string // the data source's URL: http://localhost:7070/prometheus
	// choices are of variables that are not to be all, nor the first of their list. A panel needs data with one of them.
	choices []map[string]string
}

// show runs every query of boards, and again until it has data. mayBeEmpty names panels, "file: title", that need none, and why.
func (v *viewer) show(t *testing.T, boards []*board, mayBeEmpty map[string]string) {
	t.Helper()
	defer http.DefaultClient.CloseIdleConnections()
	begin, queries := time.Now(), 0
	missing := map[string]error{}
	for left := boards; ; time.Sleep(time.Second) {
		late := slices.Sorted(maps.Keys(missing))
		clear(missing)
		left = slices.DeleteFunc(slices.Clone(left), func(b *board) bool {
			n, without := v.tryAll(b)
			queries += n
			maps.DeleteFunc(without, func(panel string, err error) bool { return mayBeEmpty[panel] != "" && errors.Is(err, errNoData) })
			maps.Copy(missing, without)
			return len(without) == 0
		})
		if len(left) == 0 || time.Since(begin) > 2*patience {
			t.Logf("%d boards, %d queries, %v; the last to have data: %q", len(boards), queries, time.Since(begin).Round(time.Millisecond), late)
			break
		}
	}
	for _, panel := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("%s: %v", panel, missing[panel])
	}
}

var errNoData = errors.New("no data")

// tryAll tells what is wrong with panels by every choice.
func (v *viewer) tryAll(b *board) (queries int, missing map[string]error) {
	for _, chosen := range append([]map[string]string{nil}, v.choices...) {
		if missing != nil && !slices.ContainsFunc(b.Templating.List, func(v *boardVariable) bool { return chosen[v.Name] != "" }) {
			continue
		}
		n, without := v.try(b, chosen)
		queries += n
		if missing == nil {
			missing = without
		}
		maps.DeleteFunc(missing, func(panel string, _ error) bool { return without[panel] == nil })
		if len(missing) == 0 {
			break
		}
	}
	return queries, missing
}

// try runs the queries of one board, and tells what is wrong with panels.
func (v *viewer) try(b *board, chosen map[string]string) (queries int, missing map[string]error) {
	values, missing := map[string]string{}, map[string]error{}
	note := func(title string, err error) {
		if was := missing[b.file+": "+title]; was == nil || errors.Is(was, errNoData) { // what is wrong is worse than what is empty
			missing[b.file+": "+title] = err
		}
	}
	for _, variable := range b.Templating.List {
		value, err := v.value(variable, values, chosen)
		if err != nil {
			note("$"+variable.Name, err)
		}
		values[variable.Name] = value
	}
	for _, a := range b.Annotations.List {
		queries++
		if _, err := v.query(interpolate(a.Target.Expr, values), false); err != nil && !errors.Is(err, errNoData) {
			note(a.Name, err)
		}
	}
	for _, p := range b.Panels {
		labels := map[string]bool{}
		for _, target := range p.Targets {
			queries++
			got, err := v.query(interpolate(target.Expr, values), target.Instant)
			if err != nil {
				note(p.Title, fmt.Errorf("%s: %w: %s", target.RefID, err, interpolate(target.Expr, values)))
				continue
			}
			for _, label := range legendLabels(target.LegendFormat) {
				if !got[label] && target.Format != "heatmap" {
					note(p.Title, fmt.Errorf("%s: no series has the label %q of its legend, only %v", target.RefID, label, slices.Sorted(maps.Keys(got))))
				}
			}
			maps.Copy(labels, got)
		}
		for _, transformation := range p.Transformations {
			for column := range transformation.Options.RenameByName {
				if !strings.HasPrefix(column, "Value") && len(labels) > 0 && !labels[column] {
					note(p.Title, fmt.Errorf("no series has the label %q of a column, only %v", column, slices.Sorted(maps.Keys(labels))))
				}
			}
		}
	}
	return queries, missing
}

// query returns the labels of the result. A result without any number is errNoData.
func (v *viewer) query(expr string, instant bool) (labels map[string]bool, err error) {
	now := time.Now()
	path, form := "/api/v1/query_range", url.Values{"query": {expr}, "step": {"15"}, "end": {strconv.FormatInt(now.Unix(), 10)}, "start": {strconv.FormatInt(now.Add(-5*time.Minute).Unix(), 10)}}
	if instant {
		path, form = "/api/v1/query", url.Values{"query": {expr}, "time": {strconv.FormatInt(now.Unix(), 10)}}
	}
	var result struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
				Values [][2]any
			}
		}
	}
	if err := v.ask(path, form, &result); err != nil {
		return nil, err
	}
	labels = map[string]bool{}
	any := false
	for _, series := range result.Data.Result {
		for _, point := range append(series.Values, series.Value) {
			text, _ := point[1].(string)
			if number, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(number) {
				any = true
			}
		}
		for label := range series.Metric {
			labels[label] = true
		}
	}
	if !any {
		return nil, errNoData
	}
	return labels, nil
}

func (v *viewer) ask(path string, form url.Values, into any) error {
	response, err := http.Get(v.prometheus + path + "?" + form.Encode())
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
