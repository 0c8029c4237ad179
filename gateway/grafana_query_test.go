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
	"regexp"
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
		clear(missing)
		left = slices.DeleteFunc(slices.Clone(left), func(b *board) bool {
			n, without := v.tryAll(b)
			queries += n
			maps.DeleteFunc(without, func(panel string, err error) bool { return mayBeEmpty[panel] != "" && errors.Is(err, errNoData) })
			maps.Copy(missing, without)
			return len(without) == 0
		})
		if len(left) == 0 || time.Since(begin) > 2*patience {
			break
		}
	}
	t.Logf("%d boards, %d queries, %v", len(boards), queries, time.Since(begin).Round(time.Millisecond))
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

// value is what a query puts for a variable: the one that was chosen, or all, or the first.
func (v *viewer) value(variable *boardVariable, before, choice map[string]string) (string, error) {
	chosen, isChosen := choice[variable.Name]
	switch {
	case variable.Type != "query" && isChosen:
		return chosen, nil
	case variable.Type != "query":
		text, _ := variable.Current.Value.(string)
		return text, nil
	}
	all, err := v.values(variable, before)
	if err == nil && len(all) == 0 {
		err = errNoData
	}
	if err != nil {
		return variable.AllValue, err
	}
	escape := func(values []string) string { // as Grafana's data source does: values are quoted twice, as regular expressions and as texts
		for i, value := range values {
			values[i] = strings.ReplaceAll(regexp.QuoteMeta(value), `\`, `\\`)
		}
		if len(values) == 1 {
			return values[0]
		}
		return "(" + strings.Join(values, "|") + ")"
	}
	switch {
	case isChosen && !slices.Contains(all, chosen):
		return "", fmt.Errorf("%q is none of %q: %w", chosen, all, errNoData)
	case isChosen:
		return escape([]string{chosen}), nil
	case variable.IncludeAll && variable.AllValue != "":
		return variable.AllValue, nil
	case variable.IncludeAll:
		return escape(all), nil
	case variable.Multi:
		return escape(all[:min(2, len(all))]), nil
	}
	return escape(all[:1]), nil
}

var (
	labelValues = regexp.MustCompile(`^label_values\((?:(.+),\s*)?([a-zA-Z_][a-zA-Z0-9_]*)\)$`)
	queryResult = regexp.MustCompile(`^query_result\((.+)\)$`)
)

// values are those that a variable offers, sorted.
func (v *viewer) values(variable *boardVariable, before map[string]string) (all []string, err error) {
	query := interpolate(variable.text(), before)
	if match := labelValues.FindStringSubmatch(query); match != nil {
		form := url.Values{}
		if match[1] != "" {
			form.Set("match[]", match[1])
		}
		var result struct{ Data []string }
		err = v.ask("/api/v1/label/"+match[2]+"/values", form, &result)
		all = result.Data
	} else if match := queryResult.FindStringSubmatch(query); match != nil {
		all, err = v.lines(match[1])
	} else {
		err = fmt.Errorf("%q is neither label_values() nor query_result()", query)
	}
	if err != nil {
		return nil, err
	}
	if variable.Regex != "" {
		all = first(regexp.MustCompile(strings.Trim(variable.Regex, "/")), all)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// lines are a result as query_result() offers it to the regular expression of its variable.
func (v *viewer) lines(expr string) (all []string, err error) {
	var result struct {
		Data struct {
			Result []struct{ Metric map[string]string }
		}
	}
	err = v.ask("/api/v1/query", url.Values{"query": {expr}}, &result)
	for _, series := range result.Data.Result {
		var labels []string
		for _, name := range slices.Sorted(maps.Keys(series.Metric)) {
			labels = append(labels, fmt.Sprintf("%s=%q", name, series.Metric[name]))
		}
		all = append(all, "{"+strings.Join(labels, ",")+"} 1")
	}
	return all, err
}

// first takes the first group out of what matches.
func first(regex *regexp.Regexp, all []string) (some []string) {
	for _, text := range all {
		if match := regex.FindStringSubmatch(text); match != nil {
			some = append(some, match[len(match)-1])
		}
	}
	return some
}

var variableUse = regexp.MustCompile(`\$(\w+)|\$\{(\w+)(?:[.:][^}]*)?\}`)

// interpolate puts values for $name and ${name}, Grafana's own among them. Others stay, as $1 does.
func interpolate(text string, values map[string]string) string {
	own := map[string]string{"__rate_interval": "1m", "__interval": "15s", "__range": "5m", "__range_s": "300"}
	return variableUse.ReplaceAllStringFunc(text, func(use string) string {
		match := variableUse.FindStringSubmatch(use)
		name := match[1] + match[2]
		if value, ok := values[name]; ok {
			return value
		}
		if value, ok := own[name]; ok {
			return value
		}
		return use
	})
}

// legendLabels are the labels that a legend names.
func legendLabels(format string) []string {
	var names []string
	for _, match := range regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`).FindAllStringSubmatch(format, -1) {
		names = append(names, match[1])
	}
	return names
}
