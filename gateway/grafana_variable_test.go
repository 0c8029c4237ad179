package main

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

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
