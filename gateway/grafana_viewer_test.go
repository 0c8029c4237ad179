package main

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the storage answers decides whether a panel is well.
func TestViewer(t *testing.T) {
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.FormValue("query")
		switch {
		case r.URL.Path == "/api/v1/label/service/values":
			fmt.Fprint(w, `{"data": ["b.c|d", "a"]}`)
		case query == "count(x)":
			fmt.Fprint(w, `{"data": {"result": [{"metric": {"app": "shop", "z": "1"}}, {"metric": {"none": "y"}}]}}`)
		case strings.Contains(query, "broken"):
			http.Error(w, "cannot parse it", http.StatusUnprocessableEntity)
		case strings.Contains(query, "nothing"):
			fmt.Fprint(w, `{"data": {"result": []}}`)
		case strings.Contains(query, "nan"):
			fmt.Fprint(w, `{"data": {"result": [{"metric": {}, "values": [[1, "NaN"]]}]}}`)
		case r.URL.Path == "/api/v1/query":
			fmt.Fprint(w, `{"data": {"result": [{"metric": {"app": "shop"}, "value": [1, "0"]}]}}`)
		case r.URL.Path == "/api/v1/query_range" && strings.HasPrefix(query, `rate(good{app=~"shop",service=~"(a|b\\.c\\|d)"}[1m])`):
			fmt.Fprint(w, `{"data": {"result": [{"metric": {"app": "shop"}, "values": [[1, "NaN"], [2, "0.5"]]}]}}`)
		default:
			http.Error(w, query, http.StatusNotFound)
		}
	}))
	defer storage.Close()
	b := readBoard(t, "testdata/boards/bad/queries.json")
	queries, missing := (&viewer{prometheus: storage.URL}).tryAll(b)
	require.Equal(t, 8, queries)
	got := map[string]string{}
	for panel, err := range missing {
		got[panel] = err.Error()
	}
	require.Equal(t, map[string]string{
		"queries.json: Broken":      "A: 422 Unprocessable Entity: cannot parse it\n: broken",
		"queries.json: Empty":       "A: no data: nothing",
		"queries.json: Not numbers": "A: no data: nan",
		"queries.json: Legend":      `A: no series has the label "version" of its legend, only [app]`,
		"queries.json: Column":      `no series has the label "pod" of a column, only [app]`,
	}, got, "%v", slices.Sorted(maps.Keys(got)))
	require.NotErrorIs(t, missing["queries.json: Broken"], errNoData)
	http.DefaultClient.CloseIdleConnections()
}
