package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/lockkeeper/lockkeeper/plugins/notify/channeltest"
	"github.com/lockkeeper/lockkeeper/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func configFor(url string) map[string]any {
	return map[string]any{"webhook_url": url + "/services/T000/B000/s3cretOfTheHook"}
}

func TestChannel(t *testing.T) {
	channeltest.Check(t, channeltest.Channel{
		Open:    open,
		Config:  configFor,
		Accept:  accept,
		Answer:  func(w http.ResponseWriter, _ []byte) { _, _ = io.WriteString(w, "ok") },
		Secrets: []string{"s3cretOfTheHook"},
		Wrong: map[string]func(map[string]any){
			"webhook_url: want a URL":              func(c map[string]any) { c["webhook_url"] = "hooks.slack.com/s3cretOfTheHook" },
			"webhook_url, token: want one of them": func(c map[string]any) { c["token"] = "xoxb-1" },
			"channel: missing; a token needs one":  func(c map[string]any) { c["token"], c["webhook_url"] = "xoxb-1", "" },
			`templates: `:                          func(c map[string]any) { c["templates"] = []string{"testdata/broken.tmpl"} },
			`template "nowhere" not defined`:       func(c map[string]any) { c["title"] = `{{ template "nowhere" . }}` },
			`function "nothing" not defined`:       func(c map[string]any) { c["text"] = `{{ nothing }}` },
		},
	})
}

// accept holds what https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks and …/legacy-secondary-message-attachments ask for.
func accept(r *http.Request, body []byte) error {
	var message struct {
		Text        string
		Attachments []struct {
			Title, Text, Fallback, Footer, Color string
			TitleLink                            string   `json:"title_link"`
			MrkdwnIn                             []string `json:"mrkdwn_in"`
			Actions                              []struct{ Type, Text, URL, Style string }
		}
	}
	if err := json.Unmarshal(body, &message); err != nil {
		return err
	}
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || len(message.Attachments) != 1 {
		return errors.New("want a POST of JSON with one attachment")
	}
	a := message.Attachments[0]
	if a.Fallback == "" || a.Text == "" || utf8.RuneCountInString(a.Title) > 1024 || utf8.RuneCountInString(a.Text) > 40000 || len(a.Actions) > 5 {
		return errors.New("the attachment is too long or lacks something")
	}
	for _, action := range a.Actions {
		if action.Type != "button" || action.Text == "" || !strings.HasPrefix(action.URL, "http") || len(action.URL) > 3000 {
			return fmt.Errorf("no button: %+v", action)
		}
	}
	said := strings.ReplaceAll(a.Title+" "+a.Text+" "+a.Fallback+" "+a.Footer, "<https://runbooks.example.com/upstream-failures|Runbook>", "")
	if found := regexp.MustCompile(`<[^>]*>`).FindString(said); found != "" {
		return fmt.Errorf("the mesh can say %q", found)
	}
	return channeltest.NoLinks(said)
}

func FuzzEscape(f *testing.F) {
	f.Add("<!channel> & <https://evil.example.com|your bank>")
	f.Add("&lt;\xff\u202e")
	f.Fuzz(func(t *testing.T, text string) {
		said := escape(text)
		rest := strings.NewReplacer("&amp;", "", "&lt;", "", "&gt;", "").Replace(said)
		if strings.ContainsAny(rest, "&<>\n") || utf8.RuneCountInString(said) > 5*textRunes {
			t.Errorf("%q: %q", text, said)
		}
	})
}

// By a token the answer is JSON, and 200 when it is a failure, too.
func TestToken(t *testing.T) {
	answer := `{"ok":true,"ts":"1503435956.000247","channel":"C123ABC456"}`
	var got *http.Request
	stub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(w, answer)
	}))
	defer stub.Close()
	n := channeltest.Opened(t, open, map[string]any{"token": "xoxb-s3cret", "channel": "#alerts", "api_url": stub.URL + "/api/chat.postMessage", "allow": []string{"127.0.0.0/8"}})
	require.NoError(t, n.Notify(t.Context(), channeltest.Firing()))
	require.Equal(t, "Bearer xoxb-s3cret", got.Header.Get("Authorization"))
	require.Equal(t, "/api/chat.postMessage", got.URL.Path)
	answer = `{"ok":false,"error":"channel_not_found"}`
	err := n.Notify(t.Context(), channeltest.Firing())
	require.ErrorContains(t, err, "channel_not_found")
	require.True(t, sdk.IsPermanent(err))
}
