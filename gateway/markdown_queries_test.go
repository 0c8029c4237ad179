package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

// What PromQL looks like: a function or an aggregation of something, or a metric with a matcher.
var (
	promCall     = regexp.MustCompile(`\b(a?irate|rate|increase|delta|sum|count|max|min|avg|topk|group|histogram_quantile|absent)( (by|without) ?\([^)]*\))? ?\([^)]`)
	promSelector = regexp.MustCompile(`^[a-z_:][a-z0-9_:]*\{[^}]*(=~?|!=|!~)"[^}]*\}$`)
)

// markdownQueries are the PromQL of all pages: within lines, and in blocks of it.
func markdownQueries(t *testing.T) (all []block) {
	t.Helper()
	blocks, spans := blocks(t)
	for _, b := range append(blocks, spans...) {
		isQuery := (promCall.MatchString(b.text) || promSelector.MatchString(b.text)) && !strings.Contains(b.text, "|") // that would be LogsQL
		if b.language == "promql" || b.language == "" && isQuery {
			all = append(all, b)
		}
	}
	return all
}

// Each query in PromQL is one, of metrics that somebody writes.
func TestMarkdownQueries(t *testing.T) {
	known := knownMetrics(t)
	queries := markdownQueries(t)
	for _, q := range queries {
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(q.text)
		if err != nil {
			if !strings.Contains(q.text, "{plugin,") { // labels, not a query
				t.Errorf("%s:%d: %q: %v", q.file, q.line, q.text, err)
			}
			continue
		}
		for _, unknown := range unknownMetrics(expr, known) {
			t.Errorf("%s:%d: %q: %s", q.file, q.line, q.text, unknown)
		}
	}
	require.Greater(t, len(queries), 8)
	t.Logf("%d queries", len(queries))
}
