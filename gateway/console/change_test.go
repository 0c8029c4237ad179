package console

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

const (
	viewerToken   = "viewer-0123456789abcdef"
	operatorToken = "operator-0123456789abcdef"
	adminToken    = "admin-0123456789abcdef"
)

// changing is a console whose POST /change and POST /api/{name}/plan ask for an operator and an admin.
func changing(t *testing.T, tokens ...Token) (c *console, telemetry *componenttest.Telemetry, log *observer.ObservedLogs) {
	t.Helper()
	telemetry = componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	set := telemetry.NewTelemetrySettings()
	core, log := observer.New(zapcore.WarnLevel)
	set.Logger = zap.New(core)
	cfg := createDefaultConfig().(*Config)
	cfg.Tokens = tokens
	c, err := newConsole(cfg, set)
	require.NoError(t, err)
	c.HandleChange("operator", "POST /change", func(w http.ResponseWriter, _ *http.Request, who string) {
		_, _ = io.WriteString(w, "done by "+who)
	})
	c.HandleChange("admin", "POST /api/{name}/plan", func(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(http.StatusAccepted) })
	return c, telemetry, log
}

func send(c *console, loopback bool, target string, header ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, "http://localhost"+target, nil)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Set(name, value)
		if name == "Host" {
			request.Host = value
		}
	}
	recorder := httptest.NewRecorder()
	c.guard(loopback).ServeHTTP(recorder, request)
	return recorder
}

func refusals(t *testing.T, telemetry *componenttest.Telemetry) map[string]int64 {
	t.Helper()
	counter, err := telemetry.GetMetric("lockkeeper_console_refused_total")
	require.NoError(t, err)
	counts := map[string]int64{}
	for _, point := range counter.Data.(metricdata.Sum[int64]).DataPoints {
		reason, _ := point.Attributes.Value("reason")
		counts[reason.AsString()] = point.Value
	}
	return counts
}

func TestChangesNeedATokenOfTheirRole(t *testing.T) {
	c, telemetry, log := changing(t, Token{Name: "grafana", Role: "viewer", Token: viewerToken},
		Token{Name: "oncall", Role: "operator", Token: operatorToken + "\n"}, Token{Name: "chief", Role: "admin", Token: adminToken})
	require.Equal(t, map[string]int64{"host": 0, "origin": 0, "no_tokens": 0, "token_missing": 0, "token_unknown": 0, "certificate_unknown": 0, "role": 0},
		refusals(t, telemetry), "all are there from the beginning")
	f := func(target string, wantCode int, want, wantReason string, header ...string) {
		t.Helper()
		before := refusals(t, telemetry)
		log.TakeAll()
		recorder := send(c, true, target, header...)
		require.Equal(t, wantCode, recorder.Code)
		if wantReason == "" {
			require.Contains(t, recorder.Body.String(), want)
			require.Len(t, log.All(), 1)
			return
		}
		require.Contains(t, errorOf(t, recorder.Body.String()), want)
		require.Empty(t, log.All())
		before[wantReason]++
		require.Equal(t, before, refusals(t, telemetry))
	}
	f("/change", 200, "done by oncall", "", "Authorization: Bearer "+operatorToken)
	f("/change", 200, "done by oncall", "", "Authorization: bearer "+operatorToken)
	f("/change", 200, "done by chief", "", "Authorization: Bearer "+adminToken)
	f("/api/x/plan", 202, "", "", "Authorization: Bearer "+adminToken)
	f("/change", 403, `this needs the role operator: "grafana" has the role viewer`, "role", "Authorization: Bearer "+viewerToken)
	f("/api/x/plan", 403, `this needs the role admin: "oncall" has the role operator`, "role", "Authorization: Bearer "+operatorToken)
	f("/change", 401, "LOCKKEEPER_TOKEN", "token_missing")
	f("/change", 401, "LOCKKEEPER_TOKEN", "token_missing", "Authorization: Bearer ")
	f("/change", 401, "LOCKKEEPER_TOKEN", "token_missing", "Authorization: Basic "+operatorToken)
	f("/change", 401, "none of extensions::console::tokens", "token_unknown", "Authorization: Bearer "+operatorToken+"0")
	f("/change", 401, "none of extensions::console::tokens", "token_unknown", "Authorization: Bearer "+operatorToken[1:])
	f("/change", 401, "none of extensions::console::tokens", "token_unknown", "Authorization: Bearer [REDACTED]")
	// A browser's page of another site, even one that knows the token, and one that had its own name resolved to this address.
	f("/change", 403, "another site", "origin", "Authorization: Bearer "+operatorToken, "Sec-Fetch-Site: cross-site")
	f("/change", 403, "another site", "origin", "Authorization: Bearer "+operatorToken, "Origin: https://evil.example")
	f("/change", 200, "done by oncall", "", "Authorization: Bearer "+operatorToken, "Sec-Fetch-Site: same-origin", "Origin: http://localhost")
	f("/change", 403, "is refused on a loopback address", "host", "Authorization: Bearer "+operatorToken, "Host: evil.example")
}

func TestNobodyMayChangeAnythingWithoutTokens(t *testing.T) {
	c, telemetry, _ := changing(t)
	recorder := send(c, false, "/change", "Authorization: Bearer ")
	require.Equal(t, 403, recorder.Code)
	require.Contains(t, errorOf(t, recorder.Body.String()), "set extensions::console::tokens")
	require.Equal(t, int64(1), refusals(t, telemetry)["no_tokens"])
}

// Who asks by what name it would change something is told, and why it could not.
func TestWhoami(t *testing.T) {
	ask := func(c *console, header ...string) *httptest.ResponseRecorder {
		request := httptest.NewRequest(http.MethodGet, "http://localhost/api/v1/whoami", nil)
		if len(header) > 0 {
			request.Header.Set("Authorization", header[0])
		}
		recorder := httptest.NewRecorder()
		c.guard(true).ServeHTTP(recorder, request)
		return recorder
	}
	c, telemetry, log := changing(t, Token{Name: "oncall", Role: "operator", Token: operatorToken})
	require.JSONEq(t, `{"name":"oncall","role":"operator"}`, ask(c, "Bearer "+operatorToken).Body.String())
	nobody := ask(c)
	require.Equal(t, http.StatusOK, nobody.Code)
	require.Contains(t, nobody.Body.String(), `{"name":"","role":"","why":"this needs a token`)
	require.Equal(t, int64(0), refusals(t, telemetry)["token_missing"], "who only asks is not refused")
	require.Equal(t, http.StatusUnauthorized, ask(c, "Bearer "+adminToken).Code)
	require.Equal(t, int64(1), refusals(t, telemetry)["token_unknown"])
	require.Empty(t, log.All())
	c, _, _ = changing(t)
	require.Contains(t, ask(c).Body.String(), "no change is allowed: no token is configured")
}

func TestEachChangeIsInTheLog(t *testing.T) {
	c, _, log := changing(t, Token{Name: "chief", Role: "admin", Token: adminToken})
	send(c, true, "/api/x/plan", "Authorization: Bearer "+adminToken)
	require.Len(t, log.All(), 1)
	line := log.All()[0]
	require.Equal(t, "change", line.Message)
	require.Equal(t, map[string]any{"who": "chief", "role": "admin", "what": "POST /api/x/plan", "from": "192.0.2.1:1234", "status": int64(202)}, line.ContextMap())
}

// What programs send all the time needs a token, too, but no line each.
func TestPushesAreNotInTheLog(t *testing.T) {
	c, telemetry, log := changing(t, Token{Name: "prometheus", Role: "operator", Token: operatorToken})
	c.HandlePush("operator", "POST /push", func(w http.ResponseWriter, _ *http.Request, who string) { _, _ = io.WriteString(w, "from "+who) })
	require.Equal(t, "from prometheus", send(c, true, "/push", "Authorization: Bearer "+operatorToken).Body.String())
	require.Equal(t, 401, send(c, true, "/push").Code)
	require.Equal(t, int64(1), refusals(t, telemetry)["token_missing"])
	require.Empty(t, log.All())
}

func TestUnknownRoleIsABug(t *testing.T) {
	c, _, _ := changing(t)
	require.Panics(t, func() { c.HandleChange("root", "POST /other", nil) })
}

// No header but the right one admits anybody.
func FuzzAuthorization(f *testing.F) {
	for _, header := range []string{"", "Bearer", "Bearer  " + adminToken, "Bearer " + adminToken + " ", "Basic " + adminToken, "bearer " + adminToken[1:], "\x00"} {
		f.Add(header)
	}
	cfg := createDefaultConfig().(*Config)
	cfg.Tokens = []Token{{Name: "chief", Role: "admin", Token: adminToken}}
	c, err := newConsole(cfg, componenttest.NewNopTelemetrySettings())
	require.NoError(f, err)
	c.HandleChange("viewer", "POST /change", func(http.ResponseWriter, *http.Request, string) {})
	f.Fuzz(func(t *testing.T, header string) {
		request := httptest.NewRequest(http.MethodPost, "http://localhost/change", nil)
		request.Header["Authorization"] = []string{header}
		recorder := httptest.NewRecorder()
		c.mux.ServeHTTP(recorder, request)
		require.Equal(t, strings.EqualFold(header, "bearer "+adminToken) && strings.HasSuffix(header, adminToken), recorder.Code == http.StatusOK, recorder.Body.String())
	})
}
