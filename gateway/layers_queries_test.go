package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// answersItsPage: each query of the page of examples/layers has data, of this application as it is scraped, and of the load's for what callers see of it.
func (l *layers) answersItsPage(t *testing.T, app string) {
	t.Helper()
	names := strings.NewReplacer(`destination_app="orders"`, `destination_app=~"svc-.+"`, `app="orders"`, `app="`+app+`"`)
	n := 0
	for _, q := range markdownQueries(t) {
		if q.file != "examples/layers/README.md" {
			continue
		}
		n++
		query := names.Replace(q.text)
		require.Eventually(t, func() bool {
			sendOnce(t, l.sink, 1000) // so that there is a rate
			return l.query(t, query) != ""
		}, patience, time.Second, "%s:%d: no data for %s", q.file, q.line, query)
		t.Logf("%s: %s", query, l.query(t, query))
	}
	require.Equal(t, 4, n)
}
