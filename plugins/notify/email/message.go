package main

import (
	"bytes"
	_ "embed"
	"fmt"
	htmltemplate "html/template"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"strings"
	texttemplate "text/template"
	"time"

	"github.com/lockkeeper/lockkeeper/plugins/notify/channel"
	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	shownAlerts  = 50
	textRunes    = 500
	subjectRunes = 200
)

var (
	//go:embed mail.txt.tmpl
	textSource string
	//go:embed mail.html.tmpl
	htmlSource string
)

// shown is what the templates get: text of the mesh in lines without control characters, which the HTML one escapes by itself.
type shown struct {
	Title, Silence, Console string
	Firing                  bool
	Alerts                  []sdk.GroupAlert
	More                    int
}

// message is a mail in RFC 5322's format. Message-ID is that of the group in this state, so that a repeat is the same mail; References is
// the same for all mails of the group, which makes them one thread.
func (m *mailer) message(g *sdk.Group, now time.Time) ([]byte, error) {
	key := channel.Key(g)
	s := shown{
		Title: channel.Clip(channel.Inert(channel.Title(g)), subjectRunes), Console: channel.Link(g.ExternalURL), Firing: g.Status == "firing",
		Alerts: channel.Shape(g, shownAlerts, clean).Alerts, More: channel.More(g, shownAlerts),
	}
	if s.Firing {
		s.Silence = channel.Silence(g)
	}
	var text bytes.Buffer
	parts := multipart.NewWriter(&text)
	if err := parts.SetBoundary("lockkeeper-" + key); err != nil {
		return nil, err
	}
	for _, header := range m.headers(g, key, s.Title, now) {
		fmt.Fprintf(&text, "%s: %s\r\n", header[0], header[1])
	}
	fmt.Fprintf(&text, "Content-Type: multipart/alternative; boundary=%q\r\n\r\n", parts.Boundary())
	funcs := map[string]any{"line": channel.Line, "labels": channel.Labels, "time": func(t time.Time) string { return t.UTC().Format(time.RFC3339) }}
	plain, err := texttemplate.New("text").Funcs(funcs).Parse(textSource)
	if err != nil {
		return nil, err
	}
	html, err := htmltemplate.New("html").Funcs(funcs).Parse(htmlSource)
	if err != nil {
		return nil, err
	}
	for _, one := range []struct {
		kind string
		made executor
	}{{"text/plain", plain}, {"text/html", html}} {
		if err := part(parts, one.kind, one.made, s); err != nil {
			return nil, err
		}
	}
	err = parts.Close()
	return text.Bytes(), err
}

func (m *mailer) headers(g *sdk.Group, key, title string, now time.Time) [][2]string {
	to := make([]string, len(m.to))
	for i, address := range m.to {
		to[i] = address.String()
	}
	_, domain, _ := strings.Cut(m.from.Address, "@")
	return [][2]string{
		{"From", m.from.String()},
		{"To", strings.Join(to, ",\r\n ")},
		{"Subject", strings.ReplaceAll(mime.QEncoding.Encode("utf-8", title), "?= =?", "?=\r\n =?")},
		{"Date", now.Format(time.RFC1123Z)},
		{"Message-ID", fmt.Sprintf("<%s@%s>", key, domain)},
		{"References", fmt.Sprintf("<group-%s@%s>", channel.Key(&sdk.Group{GroupKey: g.GroupKey}), domain)},
		{"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"},
	}
}

// executor is a template of either kind.
type executor interface {
	Execute(w io.Writer, data any) error
}

func part(parts *multipart.Writer, kind string, made executor, s shown) error {
	body, err := parts.CreatePart(textproto.MIMEHeader{
		"Content-Type": {kind + "; charset=utf-8"}, "Content-Transfer-Encoding": {"quoted-printable"},
	})
	if err != nil {
		return err
	}
	lines := quotedprintable.NewWriter(body)
	if err := made.Execute(lines, s); err != nil {
		return err
	}
	return lines.Close()
}

func clean(s string) string { return channel.Clip(channel.Inert(s), textRunes) }
