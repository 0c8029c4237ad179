package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/lockkeeper/lockkeeper/plugins/notify/channeltest"
	"github.com/lockkeeper/lockkeeper/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	service = "MGcccccccccccccccccccccccccccccccc"
	secret  = "s3cret-of-the-account"
)

func config(url string) map[string]any {
	return map[string]any{
		"account_sid": account, "auth_token": secret, "from": "+15005550006", "to": []string{"+15005550010", "+4915112345678"},
		"by": []string{"sms", "call"}, "api_url": url, "allow": []string{"127.0.0.0/8"},
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
		Secrets: []string{secret, "QUNhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE6czNjcmV0LW9mLXRoZS1hY2NvdW50"},
		Wrong: map[string]func(map[string]any){
			"account_sid: want the account's":             set("account_sid", "AC1"),
			"api_key: want the SID":                       set("api_key", "s3cret"),
			"auth_token: missing":                         set("auth_token", ""),
			"from: want a number":                         set("from", "a sender much too long"),
			"from: a call needs a number":                 set("from", service),
			"to: want at least one":                       set("to", nil),
			`to[1]: want a number such as "+15005550006"`: set("to", []any{"+15005550010", 4915112345678}),
			"by: want sms":                                set("by", []string{}),
			"by[0]: want sms or call":                     set("by", []string{"fax"}),
			"api_url: want a URL":                         set("api_url", "api.twilio.com"),
			"account_sid: want the account's, \"AC\" and 32 digits; to: want": func(c map[string]any) { c["account_sid"], c["to"] = "", nil },
		},
	})
}

func answer(w http.ResponseWriter, _ []byte) {
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, `{"sid":"SMbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","status":"queued","error_code":null}`)
}

// accept holds what Twilio's documents ask of a message and of a call.
func accept(r *http.Request, body []byte) error {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return err
	}
	user, password, _ := r.BasicAuth()
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || user != account || password != secret {
		return errors.New("the head is wrong")
	}
	if !regexp.MustCompile(`^\+[1-9]\d{1,14}$`).MatchString(form.Get("To")) || form.Get("From") == "" {
		return errors.New("no number")
	}
	switch base := "/2010-04-01/Accounts/" + account; r.URL.Path {
	case base + "/Messages.json":
		return acceptBody(form.Get("Body"))
	case base + "/Calls.json":
		return acceptTwiml(form.Get("Twiml"))
	}
	return errors.New("no such resource")
}

func acceptBody(text string) error {
	if text == "" || utf8.RuneCountInString(text) > 1600 || strings.Contains(text, "…") {
		return errors.New("Body: 1 to 1,600 characters, and none that needs the wide alphabet")
	}
	return channeltest.NoLinks(text)
}

func acceptTwiml(text string) error {
	var response struct {
		XMLName xml.Name `xml:"Response"`
		Say     []string
		Other   []struct{ XMLName xml.Name } `xml:",any"`
	}
	if err := xml.Unmarshal([]byte(text), &response); err != nil {
		return err
	}
	if len(response.Say) != 1 || response.Say[0] == "" || len(response.Other) > 0 || utf8.RuneCountInString(text) > 4000 {
		return fmt.Errorf("want one Say in 4,000 characters: %s", text)
	}
	return nil
}

// phonesStub is Twilio with numbers that fail.
type phonesStub struct {
	*httptest.Server
	mu   sync.Mutex
	fail map[string]int
	told []string
}

func newPhonesStub(t *testing.T) *phonesStub {
	s := &phonesStub{fail: make(map[string]int)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if code := s.fail[r.FormValue("To")]; code != 0 {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, `{"code":21211,"message":"The 'To' number is not a valid phone number.","status":400}`)
			return
		}
		s.told = append(s.told, r.FormValue("To")+strings.TrimPrefix(r.URL.Path, "/2010-04-01/Accounts/"+account))
		answer(w, nil)
	}))
	t.Cleanup(s.Close)
	return s
}

// have sets which number fails, and returns what was told since.
func (s *phonesStub) have(to string, code int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	told := s.told
	s.told, s.fail = nil, map[string]int{to: code}
	return told
}

// Who was told is not told again because somebody else could not be reached.
func TestNobodyIsWokenTwice(t *testing.T) {
	stub := newPhonesStub(t)
	n := channeltest.Opened(t, open, config(stub.URL))
	stub.have("+4915112345678", http.StatusServiceUnavailable)
	err := n.Notify(t.Context(), channeltest.Firing())
	require.ErrorContains(t, err, "to[1] by sms: the other side answers 503")
	require.False(t, sdk.IsPermanent(err))
	require.Error(t, n.Notify(t.Context(), channeltest.Firing()))
	require.Equal(t, []string{"+15005550010/Messages.json", "+15005550010/Calls.json"}, stub.have("", 0))
	require.NoError(t, n.Notify(t.Context(), channeltest.Firing()))
	require.Equal(t, []string{"+4915112345678/Messages.json", "+4915112345678/Calls.json"}, stub.have("", 0))
	// A reminder is told to all; what is over calls nobody.
	require.NoError(t, n.Notify(t.Context(), channeltest.Firing()))
	require.Len(t, stub.have("", 0), 4)
	require.NoError(t, n.Notify(t.Context(), channeltest.Resolved()))
	require.Equal(t, []string{"+15005550010/Messages.json", "+4915112345678/Messages.json"}, stub.have("+15005550010", http.StatusBadRequest))
	// A number that is none keeps the others from nothing, and is an error when nobody else is told.
	require.NoError(t, n.Notify(t.Context(), channeltest.Resolved()))
	require.Equal(t, []string{"+4915112345678/Messages.json"}, stub.have("+15005550010", http.StatusBadRequest))
	c := config(stub.URL)
	c["to"] = []string{"+15005550010"}
	err = channeltest.Opened(t, open, c).Notify(t.Context(), channeltest.Resolved())
	require.ErrorContains(t, err, "to[0] by sms: the other side answers 400 Bad Request: {\"code\":21211")
	require.True(t, sdk.IsPermanent(err))
}

// A messaging service chooses the number, and an API key stands for the account.
func TestServiceAndAPIKey(t *testing.T) {
	var got *http.Request
	stub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		got = r
		answer(w, nil)
	}))
	defer stub.Close()
	c := config(stub.URL)
	c["by"], c["from"], c["api_key"] = []string{"sms"}, service, "SKdddddddddddddddddddddddddddddddd"
	require.NoError(t, channeltest.Opened(t, open, c).Notify(t.Context(), channeltest.Firing()))
	require.Equal(t, service, got.PostForm.Get("MessagingServiceSid"))
	require.Empty(t, got.PostForm.Get("From"))
	user, _, _ := got.BasicAuth()
	require.Equal(t, "SKdddddddddddddddddddddddddddddddd", user)
	require.Contains(t, got.URL.Path, account)
}

// Whatever the mesh says, a call only speaks, and a message has its length and no links.
func FuzzText(f *testing.F) {
	for _, a := range channeltest.Hostile().Alerts[:8] {
		f.Add(a.Labels["path"])
	}
	f.Add(strings.Repeat("水…", 3000))
	f.Fuzz(func(t *testing.T, text string) {
		g := channeltest.Firing()
		g.GroupLabels["host"], g.Alerts[0].Annotations["summary"] = text, text
		if err := acceptTwiml(spoken(g)); err != nil {
			t.Error(err)
		}
		said := sms(g)
		if err := acceptBody(said); err != nil || utf8.RuneCountInString(said) > smsRunes {
			t.Errorf("%q: %v", said, err)
		}
	})
}
