package dns

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// get asks the console, and wants this status.
func (r *running) get(t *testing.T, path string, want int, into any) {
	t.Helper()
	answer := httptest.NewRecorder()
	r.mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	require.Equal(t, want, answer.Code, answer.Body)
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), into))
}

func TestAPI(t *testing.T) {
	d := &decider{}
	r := start(t, oneZone, d)
	var refused struct{ Error string }
	r.get(t, "/api/v1/dns", http.StatusServiceUnavailable, &refused)
	require.Equal(t, notYet, refused.Error)
	r.get(t, "/api/v1/dns/explain?name=api.gslb.example.com", http.StatusServiceUnavailable, &refused)
	require.Empty(t, r.Alerts())
	_, known := r.Answers(api, dns.TypeA)
	require.False(t, known)

	d.decide(7, 10_000, 0)
	var all shown
	r.get(t, "/api/v1/dns", http.StatusOK, &all)
	require.Equal(t, []string{r.at}, all.Endpoints)
	require.EqualValues(t, 7, all.Version)
	require.Equal(t, r.table.Load().serial, all.Serial)
	require.Equal(t, api, all.Zones[0].Names[0].Name)

	var one explanation
	for _, name := range []string{"api.gslb.example.com", "API.gslb.example.com."} {
		r.get(t, "/api/v1/dns/explain?name="+name, http.StatusOK, &one)
		require.Equal(t, all.Zones[0].Names[0], one)
		require.Equal(t, "base weight", one.IDCs[0].Why)
	}
	for _, name := range []string{"", ".", "a..b", "%00%00.."} {
		r.get(t, "/api/v1/dns/explain?name="+name, http.StatusBadRequest, &refused)
		require.Contains(t, refused.Error, "must be a name")
	}
}

// What probes compare answers with.
func TestAnswersForProbes(t *testing.T) {
	d := &decider{}
	d.decide(1, 10_000, 0)
	r := start(t, oneZone, d)
	f := func(name string, kind uint16, wantKnown bool, want ...string) {
		t.Helper()
		addresses, known := r.Answers(name, kind)
		require.Equal(t, wantKnown, known)
		var texts []string
		for _, a := range addresses {
			texts = append(texts, a.String())
		}
		require.Equal(t, want, texts)
	}
	f("api.gslb.example.com", dns.TypeA, true, "127.1.0.1")
	f("API.gslb.example.com.", dns.TypeA, true, "127.1.0.1")
	f(api, dns.TypeAAAA, true)
	f("other.example", dns.TypeA, false)
	d.decide(2, 5000, 5000)
	f(api, dns.TypeA, true, "127.1.0.1", "127.2.0.1")
}
