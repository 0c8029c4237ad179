package main

import (
	"context"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/lockkeeper/lockkeeper/plugins/notify/channel"
	"github.com/lockkeeper/lockkeeper/plugins/notify/channeltest"
	"github.com/lockkeeper/lockkeeper/sdk"
	"github.com/lockkeeper/lockkeeper/sdk/sdktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "s3cret-of-the-mailbox"

func configFor(s *server, certFile string) map[string]any {
	return map[string]any{
		"smarthost": s.listener.Addr().String(), "from": "Lockkeeper <lockkeeper@example.com>", "to": []string{"oncall@example.com"},
		"tls_config": map[string]any{"ca_file": certFile}, "allow": []string{"127.0.0.0/8"},
	}
}

func TestConformance(t *testing.T) {
	s, certFile := startServer(t, nil)
	sdktest.Notification(t, open, configFor(s, certFile))
	sdktest.Process(t, channeltest.Build(t), configFor(s, certFile))
	for _, m := range s.take() {
		parse(t, m.text)
	}
}

func TestExample(t *testing.T) { channeltest.Example(t, "README.md", open) }

// What arrives, by all ways to encrypt and to log in.
func TestMail(t *testing.T) {
	f := func(change func(*server), more map[string]any, want delivery) {
		t.Helper()
		s, certFile := startServer(t, change)
		config := configFor(s, certFile)
		for key, value := range more {
			config[key] = value
		}
		n := channeltest.Opened(t, open, config)
		require.NoError(t, n.Notify(t.Context(), channeltest.Firing()))
		got := s.take()
		require.Len(t, got, 1)
		require.Contains(t, got[0].text, "Message-ID: <"+channel.Key(channeltest.Firing())+"@example.com>\r\n")
		got[0].text = ""
		want.from, want.to = "<lockkeeper@example.com>", "<oncall@example.com>"
		require.True(t, strings.HasPrefix(got[0].from, want.from), got[0].from) // BODY=8BITMIME may follow
		got[0].from = want.from
		require.Equal(t, want, got[0])
	}
	login := map[string]any{"username": "lockkeeper", "password": password}
	f(nil, nil, delivery{encrypted: true})
	f(func(s *server) { s.implicit = true }, map[string]any{"tls": "implicit"}, delivery{encrypted: true})
	f(func(s *server) { s.tls = nil }, map[string]any{"tls": "none"}, delivery{})
	f(func(s *server) { s.offers = "AUTH LOGIN PLAIN" }, login, delivery{encrypted: true, user: "\x00lockkeeper\x00" + password})
	f(func(s *server) { s.offers = "AUTH XOAUTH2 LOGIN" }, login, delivery{encrypted: true, user: "\x00lockkeeper\x00" + password})
}

// parse takes a mail apart as a mail program does. It returns the head, the text and the HTML.
func parse(t *testing.T, text string) (mail.Header, string, string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	require.NoError(t, err)
	kind, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/alternative", kind)
	parts := multipart.NewReader(m.Body, parameters["boundary"])
	var bodies []string
	for _, want := range []string{"text/plain", "text/html"} {
		part, err := parts.NextPart()
		require.NoError(t, err)
		require.Equal(t, want+"; charset=utf-8", part.Header.Get("Content-Type"))
		body, err := io.ReadAll(part)
		require.NoError(t, err)
		bodies = append(bodies, string(body))
	}
	_, err = parts.NextPart()
	require.ErrorIs(t, err, io.EOF)
	return m.Header, bodies[0], bodies[1]
}

func TestGolden(t *testing.T) {
	for name, group := range map[string]*sdk.Group{"firing": channeltest.Firing(), "resolved": channeltest.Resolved(), "hostile": channeltest.Hostile()} {
		t.Run(name, func(t *testing.T) {
			s, certFile := startServer(t, nil)
			n := channeltest.Opened(t, open, configFor(s, certFile))
			require.NoError(t, n.Notify(t.Context(), group))
			require.NoError(t, n.Notify(t.Context(), group))
			mails := s.take()
			require.Len(t, mails, 2)
			dated := regexp.MustCompile(`(?m)^Date: .*\r$`)
			for i := range mails {
				mails[i].text = dated.ReplaceAllString(mails[i].text, "Date: now\r")
			}
			require.Equal(t, mails[0], mails[1], "the second time: it must be the same mail")
			head, text, html := parse(t, mails[0].text)
			for _, name := range []string{"Bcc", "Cc"} {
				require.Empty(t, head.Get(name))
			}
			require.NotRegexp(t, `<(script|img|at|Play)|href="javascript|https://evil`, html)
			require.NotContains(t, text, "https://evil")
			raw, _, _ := strings.Cut(mails[0].text, "\r\n\r\n")
			channeltest.Golden(t, name, strings.ReplaceAll(raw+"\r\n\r\n", "\r\n", "\n")+text+"\n----\n"+html)
		})
	}
}

// Whatever the mesh says, a mail has the head that it should have, and no line that is too long.
func FuzzMessage(f *testing.F) {
	f.Add("plain", "")
	f.Add("a\r\nBcc: victim@example.com\r\n\r\n.\r\n", "<script>")
	f.Add(strings.Repeat("水", 3000), "\xff\x00=?utf-8?q?x?=")
	f.Fuzz(func(t *testing.T, label, summary string) {
		s := settings{Smarthost: "x:25", From: "a@example.com", To: []string{"b@example.com", "c@example.com"}, TLS: "none", Hello: "x"}
		m, err := s.mailer()
		require.NoError(t, err)
		g := channeltest.Firing()
		g.GroupLabels["path"], g.Alerts[0].Annotations["summary"] = label, summary
		text, err := m.message(g, time.Now())
		require.NoError(t, err)
		head, _, _ := parse(t, string(text))
		require.Len(t, head, 9)
		for _, line := range strings.SplitAfter(string(text), "\n") {
			if len(line) > 1000 || line != "" && !strings.HasSuffix(line, "\r\n") {
				t.Fatalf("%q, %q: %q", label, summary, line)
			}
		}
	})
}

// What the server refuses for now is tried again, what it refuses is not.
func TestAnswers(t *testing.T) {
	f := func(begin, answer string, permanent bool, says string) {
		t.Helper()
		s, certFile := startServer(t, func(s *server) {
			s.offers = "AUTH PLAIN"
			s.answers[begin] = answer
		})
		config := configFor(s, certFile)
		config["username"], config["password"] = "lockkeeper", password
		err := channeltest.Opened(t, open, config).Notify(t.Context(), channeltest.Firing())
		require.ErrorContains(t, err, says)
		require.Equal(t, permanent, sdk.IsPermanent(err), "%v", err)
		require.NotContains(t, err.Error(), password)
		require.Empty(t, s.take())
	}
	f("MAIL FROM", "421 too busy", false, "421 too busy")
	f("MAIL FROM", "550 no such sender", true, "550 no such sender")
	f("RCPT TO", "450 greylisted, come back", false, "450 greylisted")
	f("RCPT TO", "550 no such user", true, "550 no such user")
	f("DATA", "451 later", false, "451 later")
	f(".", "452 full", false, "452 full")
	f(".", "554 spam", true, "554 spam")
	f("AUTH", "535 wrong password "+password, true, "535 wrong password [REDACTED]")
	f("AUTH", "454 cannot look it up", false, "454")
	f("STARTTLS", "454 not now", false, "454")
	f("EHLO", "250 mail.example.com", true, "offers no STARTTLS")
}

// Of several recipients those who have the mail do not get it again.
func TestSeveralRecipients(t *testing.T) {
	s, certFile := startServer(t, nil)
	config := configFor(s, certFile)
	config["to"] = []string{"a@example.com", "B <b@example.com>", "gone@example.com"}
	n := channeltest.Opened(t, open, config)
	s.answer("RCPT TO:<b@", "450 later")
	s.answer("RCPT TO:<gone@", "550 no such user")
	require.ErrorContains(t, n.Notify(t.Context(), channeltest.Firing()), "450 later")
	require.Equal(t, "<a@example.com>", s.take()[0].to)
	s.answer("RCPT TO:<b@", "")
	require.NoError(t, n.Notify(t.Context(), channeltest.Firing()), "one who does not exist is no reason to tell nobody")
	got := s.take()
	require.Len(t, got, 1)
	require.Equal(t, "<b@example.com>", got[0].to)
	require.Contains(t, got[0].text, "To: <a@example.com>,\r\n \"B\" <b@example.com>,\r\n <gone@example.com>\r\n")
}

// A server that hangs, is away, is not trusted or is where nothing may be connected to.
func TestNoServer(t *testing.T) {
	s, certFile := startServer(t, nil)
	config := configFor(s, certFile)
	f := func(permanent bool, says string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := channeltest.Opened(t, open, config).Notify(ctx, channeltest.Firing())
		require.ErrorContains(t, err, says)
		require.Equal(t, permanent, sdk.IsPermanent(err), "%v", err)
	}
	config["allow"] = nil
	f(true, "127.0.0.1 is not a public address")
	config["allow"] = []string{"127.0.0.0/8"}
	config["tls_config"] = nil
	f(false, "certificate")
	s.stop()
	f(false, "refused")
}

func TestDeadline(t *testing.T) {
	s, certFile := startServer(t, func(s *server) { s.answers["EHLO"] = "250-and so on" })
	n := channeltest.Opened(t, open, configFor(s, certFile))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := n.Notify(ctx, channeltest.Firing())
	require.Error(t, err)
	require.False(t, sdk.IsPermanent(err))
}

func TestConfiguration(t *testing.T) {
	f := func(says string, change map[string]any) {
		t.Helper()
		config := map[string]any{"smarthost": "smtp.example.com:587", "from": "a@example.com", "to": []string{"b@example.com"}, "username": "u", "password": password}
		for key, value := range change {
			config[key] = value
		}
		raw, err := json.Marshal(config)
		require.NoError(t, err)
		_, err = open(t.Context(), sdk.NewConfig("mail", "", raw))
		require.ErrorContains(t, err, says)
		require.True(t, sdk.IsPermanent(err))
		require.NotContains(t, err.Error(), password)
	}
	f("smarthost: want host:port", map[string]any{"smarthost": "smtp.example.com"})
	f("from: want an address", map[string]any{"from": "nobody"})
	f("to[1]: want an address", map[string]any{"to": []string{"a@example.com", "b@example.com, c@example.com\r\nBcc: x"}})
	f("to: missing", map[string]any{"to": []string{}})
	f("tls: want starttls, implicit or none", map[string]any{"tls": "yes"})
	f("tls: none would send the password in the clear", map[string]any{"tls": "none"})
	f("username, password: want both or none", map[string]any{"username": ""})
	f("hello: want a host name", map[string]any{"hello": "a\r\nb"})
	f("allow[0]: want a prefix", map[string]any{"allow": []string{"localhost"}})
	f("tls_config: ", map[string]any{"tls_config": map[string]any{"ca_file": "/nowhere"}})
	f(`unknown key "nonsense"`, map[string]any{"nonsense": 1})
	f("from: want an address such as Lockkeeper <lockkeeper@example.com>\nto: missing", map[string]any{"from": "", "to": nil})
}
