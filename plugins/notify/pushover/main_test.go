package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/lockkeeper/lockkeeper/plugins/notify/channeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token = "azGDORePK8gMaC0QOYAMyEEuzJnyUi"
	user  = "uQiRzpo4DXghDmr9QzzfQu27cmVRsG"
)

func config(url string) map[string]any {
	return map[string]any{
		"token": token, "user": user, "priority": 2, "sound": "siren", "device": "phone",
		"api_url": url, "allow": []string{"127.0.0.0/8"},
	}
}

func TestChannel(t *testing.T) {
	set := func(key string, value any) func(map[string]any) {
		return func(c map[string]any) { c[key] = value }
	}
	channeltest.Check(t, channeltest.Channel{
		Open:    open,
		Config:  config,
		Accept:  accept,
		Answer:  answer,
		Secrets: []string{token, user},
		Wrong: map[string]func(map[string]any){
			"token: missing":                          set("token", ""),
			"user: missing":                           set("user", ""),
			"priority: want -2 to 2":                  set("priority", 3),
			"priority: want a whole number such as 5": set("priority", "high"),
			"retry: want at least 30s":                set("retry", "1s"),
			"expire: want at most 3h0m0":              set("expire", "24h"),
			"api_url: want a URL":                     set("api_url", "api.pushover.net"),
		},
	})
}

func answer(w http.ResponseWriter, _ []byte) {
	_, _ = io.WriteString(w, `{"status":1,"request":"647d2300-702c-4b38-8b2f-d56326ae460b"}`)
}

// accept holds what https://pushover.net/api asks for.
func accept(r *http.Request, body []byte) error {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return err
	}
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.URL.RawQuery != "" || form.Get("token") != token {
		return errors.New("want a POST of a form with the token")
	}
	if regexp.MustCompile(`^/1/receipts/cancel_by_tag/lockkeeper-[0-9a-f]{32}\.json$`).MatchString(r.URL.Path) {
		return nil
	}
	if r.URL.Path != "/1/messages.json" || form.Get("user") != user {
		return errors.New("no such resource, or no user")
	}
	characters := func(key string) int { return utf8.RuneCountInString(form.Get(key)) }
	if characters("message") == 0 || characters("message") > 1024 || characters("title") > 250 || characters("url") > 512 || characters("url_title") > 100 {
		return errors.New("a text is too long, or there is none")
	}
	if form.Get("html") != "" {
		return errors.New("what the mesh says would be HTML")
	}
	priority, err := strconv.Atoi(form.Get("priority"))
	retry, _ := strconv.Atoi(form.Get("retry"))
	expire, _ := strconv.Atoi(form.Get("expire"))
	if err != nil || priority < -2 || priority > 2 || priority == 2 && (retry < 30 || expire < 1 || expire > 10800 || form.Get("tags") == "") {
		return errors.New("the priority is none, or lacks retry, expire and tags")
	}
	return channeltest.NoLinks(form.Get("title") + "\n" + form.Get("message"))
}

// An alarm that cannot be ended is no reason to say nothing; one that can be later is ended first.
func TestAlarmIsEnded(t *testing.T) {
	code := http.StatusNotFound
	var paths []string
	stub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		if r.URL.Path != "/1/messages.json" {
			w.WriteHeader(code)
			return
		}
		answer(w, nil)
	}))
	defer stub.Close()
	n := channeltest.Opened(t, open, config(stub.URL))
	require.NoError(t, n.Notify(t.Context(), channeltest.Firing()))
	require.NoError(t, n.Notify(t.Context(), channeltest.Resolved()))
	require.Len(t, paths, 4)
	require.Equal(t, paths[0], paths[2], "what fired and what is over")
	code = http.StatusServiceUnavailable
	require.ErrorContains(t, n.Notify(t.Context(), channeltest.Resolved()), "503")
	require.Len(t, paths, 5)
}

// Below an emergency nothing rings until it is ended, and what is over is never louder than normal.
func TestPriority(t *testing.T) {
	var got []url.Values
	stub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		if r.URL.Path == "/1/messages.json" {
			got = append(got, r.PostForm)
		}
		answer(w, nil)
	}))
	defer stub.Close()
	f := func(priority any, severity, firing, resolved string) {
		t.Helper()
		got = nil
		c := config(stub.URL)
		c["priority"] = priority
		g, over := channeltest.Firing(), channeltest.Resolved()
		for i := range g.Alerts {
			g.Alerts[i].Labels["severity"], over.Alerts[i].Labels["severity"] = severity, severity
		}
		n := channeltest.Opened(t, open, c)
		require.NoError(t, n.Notify(t.Context(), g))
		require.NoError(t, n.Notify(t.Context(), over))
		require.Len(t, got, 2)
		require.Equal(t, []string{firing, resolved}, []string{got[0].Get("priority"), got[1].Get("priority")})
		require.Equal(t, firing == "2", got[0].Has("tags") && got[0].Has("retry") && got[0].Has("expire"))
	}
	f(1, "page", "1", "0")
	f(0, "page", "0", "0")
	f(-1, "page", "-1", "-1")
	// By severity.
	f(nil, "", "1", "0")
	f(nil, "ticket", "0", "0")
	f(nil, "info", "-1", "-1")
	f(nil, "page", "2", "0")
}
