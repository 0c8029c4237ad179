package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
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

const key = "eb243592-faa2-4ba2-a551q-1afdf565c889"

func settingsFor(url string) map[string]any {
	return map[string]any{
		"api_key": key, "api_url": url, "allow": []string{"127.0.0.0/8"}, "tags": "lockkeeper,{{ .CommonLabels.idc }}", "entity": "{{ .CommonLabels.service }}",
		"details":    map[string]any{"console": "{{ .ExternalURL }}"},
		"responders": []map[string]any{{"type": "team", "name": "mesh"}, {"type": "schedule", "name": "on call"}},
	}
}

func TestChannel(t *testing.T) {
	set := func(key string, value any) func(map[string]any) {
		return func(c map[string]any) { c[key] = value }
	}
	channeltest.Check(t, channeltest.Channel{
		Open:    open,
		Config:  settingsFor,
		Accept:  accept,
		Answer:  answer,
		Secrets: []string{key},
		Wrong: map[string]func(map[string]any){
			"api: want opsgenie or jsm":        set("api", "pagerduty"),
			"api_key: missing":                 set("api_key", ""),
			"api_url: want a URL":              set("api_url", "api.opsgenie.com"),
			"responders[0].type: want one of":  set("responders", []map[string]any{{"type": "group", "name": "x"}}),
			"responders[1]: want id, name":     set("responders", []map[string]any{{"type": "team", "name": "x"}, {"type": "team"}}),
			`unknown key "responders.nick"`:    set("responders", []map[string]any{{"type": "team", "nick": "x"}}),
			`function "nothing" not defined`:   set("priority", `{{ nothing }}`),
			`template "nowhere" not defined`:   set("details", map[string]any{"x": `{{ template "nowhere" . }}`}),
			"unexpected \"}\" in operand":      set("entity", "{{ . }"),
			"api: want opsgenie or jsm; api_k": func(c map[string]any) { c["api"], c["api_key"] = "", "" },
		},
	})
}

func answer(w http.ResponseWriter, _ []byte) {
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"result":"Request will be processed","took":0.302,"requestId":"43a29c5c-3dbf-4fa4-9c26-f4f71023e120"}`)
}

type alert struct {
	Message, Alias, Description, Entity, Source, Priority string

	Responders []struct{ ID, Name, Username, Type string }
	Tags       []string
	Details    map[string]string
}

// accept holds what https://docs.opsgenie.com/docs/alert-api asks for.
func accept(r *http.Request, body []byte) error {
	var a alert
	if err := json.Unmarshal(body, &a); err != nil {
		return err
	}
	if r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Authorization") != "GenieKey "+key {
		return errors.New("the head is wrong")
	}
	path := regexp.MustCompile(`^(?:/jsm/ops/integration)?/v2/alerts(?:/([0-9a-f]{64})/(close|message|description))?$`).FindStringSubmatch(r.URL.Path)
	switch {
	case path == nil:
		return errors.New("no such resource")
	case path[1] == "" && r.Method == http.MethodPost:
		return acceptAlert(a)
	case r.URL.Query().Get("identifierType") != "alias":
		return errors.New("want an alias")
	case path[2] == "close" && r.Method == http.MethodPost && a.Source != "",
		path[2] == "message" && r.Method == http.MethodPut && a.Message != "",
		path[2] == "description" && r.Method == http.MethodPut && a.Description != "":
		return nil
	}
	return errors.New("want POST of an alert or of its end, or PUT of what changed")
}

func acceptAlert(a alert) error {
	within := func(text string, least, most int) bool {
		n := utf8.RuneCountInString(text)
		return n >= least && n <= most
	}
	details := 0
	for name, value := range a.Details {
		details += utf8.RuneCountInString(name + value)
	}
	switch {
	case !within(a.Message, 1, 130), !within(a.Alias, 1, 512), !within(a.Description, 1, 15000), !within(a.Entity, 0, 512), !within(a.Source, 1, 100):
		return fmt.Errorf("a text is too long or missing: %d characters of description", utf8.RuneCountInString(a.Description))
	case details > 8000 || len(a.Tags) > 20 || slices.ContainsFunc(a.Tags, func(tag string) bool { return !within(tag, 1, 50) }):
		return fmt.Errorf("details have %d characters, or there are too many tags: %q", details, a.Tags)
	case !regexp.MustCompile(`^P[1-5]$`).MatchString(a.Priority):
		return fmt.Errorf("no priority: %q", a.Priority)
	}
	for _, r := range a.Responders {
		if r.ID+r.Name+r.Username == "" || r.Type == "" {
			return fmt.Errorf("no responder: %+v", r)
		}
	}
	if found := regexp.MustCompile(`[<>]|\]\(`).FindString(a.Message + a.Description); found != "" {
		return fmt.Errorf("the mesh can write HTML or Markdown: %q", found)
	}
	said, _, _ := strings.Cut(a.Description, "\n\n")
	said = regexp.MustCompile(`(?m)^(Runbook: https://runbooks\.example|Silence: https?://(lockkeeper\.example\.com|localhost:7070)/#/silences/).*`).ReplaceAllString(said, "")
	return channeltest.NoLinks(a.Message + "\n" + said)
}

// captured sends the groups to a stub and returns the requests by method and path, and the alert of the last of them.
func captured(t *testing.T, change func(map[string]any), groups ...*sdk.Group) (requests []string, last alert) {
	t.Helper()
	stub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		last = alert{}
		if err != nil || accept(r, body) != nil || json.Unmarshal(body, &last) != nil {
			t.Errorf("%.500s: %v", body, accept(r, body))
		}
		requests = append(requests, r.Method+" "+r.URL.Path)
		answer(w, nil)
	}))
	defer stub.Close()
	c := settingsFor(stub.URL)
	change(c)
	n := channeltest.Opened(t, open, c)
	for _, g := range groups {
		require.NoError(t, n.Notify(t.Context(), g))
	}
	return requests, last
}

// JSM takes the same calls elsewhere.
func TestAPI(t *testing.T) {
	f := func(api, address, want string) {
		t.Helper()
		s := settings{API: api, APIKey: key, APIURL: address}
		got, err := s.check()
		require.NoError(t, err)
		require.Equal(t, want, got.String())
	}
	f("opsgenie", "", "https://api.opsgenie.com/")
	f("opsgenie", "https://api.eu.opsgenie.com", "https://api.eu.opsgenie.com/")
	f("jsm", "", "https://api.atlassian.com/jsm/ops/integration/")
	requests, _ := captured(t, func(c map[string]any) {
		c["api"], c["api_url"] = "jsm", fmt.Sprint(c["api_url"], "/jsm/ops/integration")
	}, channeltest.Firing())
	require.Equal(t, []string{"POST /jsm/ops/integration/v2/alerts"}, requests)
}

// An alert is the group's, until it is closed.
func TestAlias(t *testing.T) {
	requests, _ := captured(t, func(c map[string]any) { c["update_alerts"] = true }, channeltest.Firing(), channeltest.Resolved())
	_, last := captured(t, func(map[string]any) {}, channeltest.Firing())
	require.Equal(t, []string{
		"POST /v2/alerts", "PUT /v2/alerts/" + last.Alias + "/message", "PUT /v2/alerts/" + last.Alias + "/description", "POST /v2/alerts/" + last.Alias + "/close",
	}, requests)
	require.Equal(t, []string{"lockkeeper", "idc1"}, last.Tags)
	require.Len(t, last.Responders, 2)
}

func TestPriority(t *testing.T) {
	f := func(label, want string) {
		t.Helper()
		g := channeltest.Firing()
		for i := range g.Alerts {
			g.Alerts[i].Labels["severity"] = label
		}
		_, last := captured(t, func(map[string]any) {}, g)
		require.Equal(t, want, last.Priority)
	}
	f("page", "P1")
	f("critical", "P1")
	f("ticket", "P3")
	f("info", "P5")
	f("", "P2")
	f("P1 and more", "P2")
}

// What is too much for an alert is left out, not the alert.
func TestMuch(t *testing.T) {
	f := func(alerts, labels, characters int, want string) {
		t.Helper()
		g := channeltest.Firing()
		g.Alerts = g.Alerts[:1]
		delete(g.Alerts[0].Annotations, "summary")
		g.GroupLabels["idc"] = "{{ .Status }}"
		g.ExternalURL += "/" + strings.Repeat("x", 1500)
		g.Alerts[0].Annotations["runbook_url"] = "https://runbooks.example.com/" + strings.Repeat("x", 1900)
		for i := range labels {
			g.Alerts[0].Labels[fmt.Sprint("label_of_some_length_", i)] = strings.Repeat("水", characters)
		}
		for range alerts - 1 {
			g.Alerts = append(g.Alerts, g.Alerts[0])
		}
		_, last := captured(t, func(map[string]any) {}, g)
		require.Contains(t, last.Description, want)
		require.Equal(t, fmt.Sprintf("[FIRING:%d] UpstreamFailures ({{ .Status }})", alerts), last.Message)
	}
	f(1, 30, 5000, "Runbook: https://runbooks.example.com/xx")
	f(5000, 30, 5000, "and 4999 more\n")
	f(5000, 1, 10, "and 4968 more\n")
	f(50, 3, 300, "and 40 more\n")
}
