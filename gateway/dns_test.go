package main

import (
	"net/http"
	"testing"
)

func TestExplainName(t *testing.T) {
	const path = "GET /api/v1/dns/explain"
	ask := func(code, status int, body string, want ...string) {
		t.Helper()
		expectCall(t, code, []string{"explain", "api.gslb.example.com", "--url", pluginConsole(t, path, status, body)}, want...)
	}
	ask(0, http.StatusOK, `{"name":"api.gslb.example.com.","zone":"gslb.example.com.","answer":"A: one address (QUERY)","ttl":2,"serial":7,"version":9,
"at":"2026-01-02T03:04:05Z","degraded":true,"idcs":[
{"idc":"idc1","entry":10000,"share":{"A":100,"AAAA":100},"answered":{"A":12},"addresses":["127.1.0.1","::1"],"why":"base weight"},
{"idc":"idc2","entry":0,"share":{},"answered":{},"addresses":["127.2.0.1"],"why":"dead: connection refused\u001b"}]}`,
		"api.gslb.example.com.  A: one address (name=api.gslb.example.com)\n",
		"  zone gslb.example.com., serial 7, TTL 2s, as decided at ",
		"; degraded: it is not what people asked for, and TTLs are halved\n",
		"  IDC   WEIGHT  SHARE              ANSWERED  ADDRESSES      WHY\n",
		"  idc1  100%    A 100%, AAAA 100%  A 12      127.1.0.1 ::1  base weight\n",
		"  idc2  0%      -                  -         127.2.0.1      dead: connection refused?\n")
	ask(0, http.StatusOK, `{"name":"api.gslb.example.com.","answer":"REFUSED: it is in no zone"}`, "api.gslb.example.com.  REFUSED: it is in no zone\n")
	ask(1, http.StatusOK, `{`, "not an explanation of a name")
	ask(1, http.StatusServiceUnavailable, `{"error":"nothing is answered yet"}`, "nothing is answered yet")
	ask(2, http.StatusBadRequest, `{"error":"name: must be a name"}`, "name: must be a name")
	expectCall(t, 1, []string{"explain", "a.example", "--url", pluginConsole(t, "/other", http.StatusOK, "")}, "extension dns")
	expectCall(t, 0, []string{"explain", "a.example.", "b.example", "-o", "json", "--url", pluginConsole(t, path, http.StatusOK, "{\"q\":\"QUERY\"}\n")},
		"{\"q\":\"name=a.example.\"}\n{\"q\":\"name=b.example\"}\n")
	// Names and flags are not explained together.
	expectCall(t, 2, []string{"explain", "UF", "api.gslb.example.com"}, `no such flag: "api.gslb.example.com"`)
}

func TestIsDNSName(t *testing.T) {
	f := func(want bool, words ...string) {
		t.Helper()
		for _, word := range words {
			if isDNSName(word) != want {
				t.Errorf("%q", word)
			}
		}
	}
	f(true, "api.gslb.example.com", "api.gslb.example.com.", "_sip.example", "127.example")
	f(false, "UF", "UF,URX", "-", "", ".", "..", "via_upstream", "rbac_access_denied_matched_policy[ns.policy]", "a..b", "a b.example")
}
