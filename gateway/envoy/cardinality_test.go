package envoy

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"

	"github.com/lockkeeper/lockkeeper/gateway/envoy/stats"
)

// storageAt is an extension with a storage.
type storageAt struct {
	url string
	err error
}

func (s storageAt) QueryURL(string) (string, error) { return s.url, s.err }

func TestCardinality(t *testing.T) {
	r, client := start(t, consumertest.NewNop(), nil)
	require.NoError(t, send(t, client, recorded(t)))
	require.NoError(t, r.flush(t.Context(), time.Now()))
	storage := http.NewServeMux()
	server := httptest.NewServer(storage)
	defer server.Close()
	names := http.StatusOK
	storage.HandleFunc("GET /api/v1/status/metric_names_stats", func(w http.ResponseWriter, q *http.Request) {
		require.Equal(t, "0", q.URL.Query().Get("le"))
		w.WriteHeader(names)
		_, _ = w.Write([]byte(`{"status":"success","statsCollectedSince":1700000000,"records":[{"metricName":"a","queryRequestsCount":0},{"metricName":"b","queryRequestsCount":0}]}`))
	})
	storage.HandleFunc("GET /api/v1/status/tsdb", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"status":"success","data":{"seriesCountByMetricName":[{"name":"c","value":9},{"name":"b","value":7}]}}`))
	})
	ask := func(s metricStorage) (got cardinality) {
		t.Helper()
		r.storage = s
		w := httptest.NewRecorder()
		r.cardinality(w, httptest.NewRequest(http.MethodGet, "/api/v1/cardinality", http.NoBody))
		require.Equal(t, http.StatusOK, w.Code)
		decoder := json.NewDecoder(w.Body)
		decoder.DisallowUnknownFields()
		require.NoError(t, decoder.Decode(&got))
		return got
	}
	got := ask(storageAt{url: server.URL})
	require.Equal(t, seriesCost{r.aggregator.Totals().Series, 20000, 0}, got.Series)
	require.Positive(t, got.Series.Kept)
	require.NotEmpty(t, got.Edges)
	require.Greater(t, len(got.Labels), 20)
	require.Equal(t, stats.NameCost{Name: "istio_request_duration_milliseconds", Series: 22 * got.Series.Kept}, got.Metrics[0])
	require.Equal(t, stats.NameCost{Name: "istio_requests_total", Series: got.Series.Kept}, got.Metrics[3])
	require.Equal(t, 1000, got.Authorities.Max)
	require.Equal(t, []stats.NameCost{{Name: "b", Series: 7}, {Name: "a"}}, got.Unqueried.Metrics)
	require.Equal(t, int64(1700000000), got.Unqueried.Since.Unix())

	r.config.RequestsFrom = "stats"
	require.Empty(t, ask(storageAt{url: server.URL}).Metrics, "istio_* comes from elsewhere")

	// What is known here is told, whatever the storage does.
	f := func(s metricStorage, want string) {
		t.Helper()
		got := ask(s)
		require.Contains(t, got.Unqueried.Error, want)
		require.Empty(t, got.Unqueried.Metrics)
		require.Positive(t, got.Series.Kept)
	}
	f(nil, "no extension runs a storage plugin")
	f(storageAt{err: errors.New("restarting")}, "not up: restarting")
	names = http.StatusInternalServerError
	f(storageAt{url: server.URL}, "500 Internal Server Error to /api/v1/status/metric_names_stats")
	server.Close()
	f(storageAt{url: server.URL}, "does not answer")
}
