package xds

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
)

// A client that takes endpoints and no clusters is foreign; one that takes both is not, be it by one stream or by two.
func TestForeignClusters(t *testing.T) {
	f := func(separate bool, want []foreign, asks ...string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			w := newWire(t, Options{})
			w.separate = separate
			for _, ask := range asks {
				w.play("ask " + ask)
			}
			synctest.Wait()
			_, got := w.cache.foreign()
			require.Equal(t, want, got)
		})
	}
	none := []foreign{}
	f(false, none)
	f(false, none, "cds")
	f(false, none, "cds", "eds a b")
	f(true, none, "eds a", "cds")
	f(false, []foreign{{"client", []string{"a", "b"}}}, "eds b a")
	f(true, []foreign{{"client", []string{"a"}}}, "eds a", "lds")
}

func TestAPI(t *testing.T) {
	cfg := createDefaultConfig()
	cfg.NetAddr.Endpoint = "127.0.0.1:0"
	cfg.Sources = []SourceConfig{{File: "testdata/endpoints.yaml"}, {File: "testdata/machines.yaml"}}
	x := newXDS(cfg, componenttest.NewNopTelemetrySettings())
	require.NoError(t, x.Start(t.Context(), extensions{}))
	defer func() { require.NoError(t, x.Shutdown(t.Context())) }()
	recorder := httptest.NewRecorder()
	x.show(recorder, httptest.NewRequest(http.MethodGet, "/api/v1/xds", http.NoBody))
	var answer map[string]any
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &answer))
	require.Equal(t, map[string]any{"endpoint": x.listener.Addr().String(), "streams": 0., "foreign": []any{}}, answer)
}
