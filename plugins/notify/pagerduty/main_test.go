package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/lockkeeper/lockkeeper/plugins/notify/channeltest"
	"github.com/lockkeeper/lockkeeper/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "e93facc04764012d7bfb002500d5d1a6"

func config(url string) map[string]any {
	return map[string]any{
		"routing_key": key, "api_url": url + "/v2/enqueue", "allow": []string{"127.0.0.0/8"},
		"details": map[string]any{"idc": "{{ .CommonLabels.idc }}"},
	}
}

func TestChannel(t *testing.T) {
	channeltest.Check(t, channeltest.Channel{
		Open:    open,
		Config:  config,
		Accept:  accept,
		Answer:  answer,
		Secrets: []string{key},
		Wrong: map[string]func(map[string]any){
			"routing_key: missing":           func(c map[string]any) { c["routing_key"] = "" },
			"api_url: want a URL":            func(c map[string]any) { c["api_url"] = "events.pagerduty.com" },
			`function "nothing" not defined`: func(c map[string]any) { c["severity"] = `{{ nothing }}` },
			`template "nowhere" not defined`: func(c map[string]any) { c["details"] = map[string]any{"x": `{{ template "nowhere" . }}`} },
		},
	})
}

func answer(w http.ResponseWriter, _ []byte) {
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"success","message":"Event processed","dedup_key":"x"}`)
}

type event struct {
	RoutingKey  string `json:"routing_key"`
	EventAction string `json:"event_action"`
	DedupKey    string `json:"dedup_key"`
	Payload     struct {
		Summary, Source, Severity string
		CustomDetails             map[string]any `json:"custom_details"`
	}
	Links     []struct{ Href, Text string }
	Client    string
	ClientURL string `json:"client_url"`
}

// accept holds what https://developer.pagerduty.com/docs/send-alert-event asks for.
func accept(r *http.Request, body []byte) error {
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		return err
	}
	switch {
	case r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || r.URL.Path != "/v2/enqueue" || len(body) > 512<<10:
		return errors.New("want a POST of JSON")
	case e.RoutingKey != key || !slices.Contains([]string{"trigger", "acknowledge", "resolve"}, e.EventAction):
		return errors.New("routing_key or event_action is wrong")
	case e.DedupKey == "" || len(e.DedupKey) > 255:
		return errors.New("dedup_key: 1 to 255 characters")
	case e.Payload.Summary == "" || utf8.RuneCountInString(e.Payload.Summary) > 1024 || e.Payload.Source == "":
		return errors.New("summary or source is missing or too long")
	case !slices.Contains([]string{"critical", "error", "warning", "info"}, e.Payload.Severity):
		return fmt.Errorf("no severity: %q", e.Payload.Severity)
	}
	for _, link := range e.Links {
		if !strings.HasPrefix(link.Href, "http") || link.Text == "" {
			return fmt.Errorf("no link: %+v", link)
		}
	}
	return channeltest.NoLinks(e.Payload.Summary)
}

// captured sends the group to a stub and returns the event.
func captured(t *testing.T, g *sdk.Group, change func(map[string]any)) event {
	t.Helper()
	var e event
	stub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || accept(r, body) != nil || json.Unmarshal(body, &e) != nil {
			t.Errorf("%s: %v", body, accept(r, body))
		}
		answer(w, nil)
	}))
	defer stub.Close()
	c := config(stub.URL)
	change(c)
	require.NoError(t, channeltest.Opened(t, open, c).Notify(t.Context(), g))
	return e
}

// Severities are PagerDuty's, whatever the rules have: it refuses others, and the alert would be lost.
func TestSeverity(t *testing.T) {
	f := func(label, want string) {
		t.Helper()
		g := channeltest.Firing()
		for i := range g.Alerts {
			g.Alerts[i].Labels["severity"] = label
		}
		require.Equal(t, want, captured(t, g, func(map[string]any) {}).Payload.Severity)
	}
	f("page", "critical")
	f("critical", "critical")
	f("ticket", "warning")
	f("warning", "warning")
	f("info", "info")
	f("error", "error")
	f("", "error")
	f("none of them", "error")
	f("critical\nx", "error")
}

// An incident is the group's, until it is resolved.
func TestIncident(t *testing.T) {
	none := func(map[string]any) {}
	firing, resolved := captured(t, channeltest.Firing(), none), captured(t, channeltest.Resolved(), none)
	require.Equal(t, []string{"trigger", "resolve"}, []string{firing.EventAction, resolved.EventAction})
	require.Equal(t, firing.DedupKey, resolved.DedupKey)
	other := channeltest.Firing()
	other.GroupKey += "x"
	require.NotEqual(t, firing.DedupKey, captured(t, other, none).DedupKey)
}

// What is too much for an event is left out, not the event.
func TestMany(t *testing.T) {
	g := channeltest.Firing()
	for i := range 5000 {
		a := g.Alerts[0]
		a.Labels = map[string]string{"alertname": "UpstreamFailures", "n": fmt.Sprint(i), "path": strings.Repeat("水", 3000)}
		g.Alerts = append(g.Alerts, a)
	}
	e := captured(t, g, func(map[string]any) {})
	require.Equal(t, "and 4903 more alerts", e.Payload.CustomDetails["more"])
	require.Len(t, e.Payload.CustomDetails["firing"], shownAlerts)
	require.Contains(t, e.Payload.Summary, "[FIRING:5002]")
	// Nothing of the mesh is a template.
	g = channeltest.Firing()
	g.Alerts[0].Annotations["runbook_url"] = "https://x.example.com/{{.Status}}"
	g.Alerts[0].Labels["idc"], g.Alerts[1].Labels["idc"], g.Alerts[2].Labels["idc"] = "{{ .Status }}", "{{ .Status }}", "{{ .Status }}"
	g.GroupLabels["idc"] = "{{ .Status }}"
	e = captured(t, g, func(map[string]any) {})
	require.Equal(t, "[FIRING:2] UpstreamFailures ({{ .Status }})", e.Payload.Summary)
	require.Equal(t, "{{ .Status }}", e.Payload.CustomDetails["idc"])
	require.NotContains(t, fmt.Sprint(e.Links), "x.example.com")
}
