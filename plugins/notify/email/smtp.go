package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/lockkeeper/lockkeeper/plugins/notify/channel"
	"github.com/lockkeeper/lockkeeper/sdk"
)

// mailWithin is how long one mail may take.
const mailWithin = 30 * time.Second

// mailer sends mail to one server.
type mailer struct {
	*settings
	host      string
	from      *mail.Address
	to        []*mail.Address
	tls       *tls.Config
	dialer    *net.Dialer
	secrets   *strings.Replacer
	delivered channel.Delivered
}

func (m *mailer) notify(ctx context.Context, g *sdk.Group) error {
	if len(g.Alerts) == 0 {
		return sdk.Permanent(errors.New("a group without alerts: there is nothing to tell"))
	}
	text, err := m.message(g, time.Now())
	if err != nil {
		return sdk.Permanent(err)
	}
	recipients := make([]string, len(m.to))
	for i, to := range m.to {
		recipients[i] = to.Address
	}
	return m.delivered.Each(channel.Key(g), recipients, func(to string) error { return m.judged(m.mail(ctx, to, text)) })
}

// judged marks what the server says: 5yz is permanent (RFC 5321, 4.2.1); 4yz and no answer may pass.
func (m *mailer) judged(err error) error {
	var said *textproto.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &said):
		what := fmt.Errorf("the server answers %d %s", said.Code, channel.Clip(channel.Clean(m.secrets.Replace(said.Msg)), 200))
		if said.Code >= 500 {
			return sdk.Permanent(what)
		}
		return sdk.Retryable(what, 0)
	case sdk.IsPermanent(err):
		return err
	default:
		return channel.Unsent(err, m.secrets)
	}
}

// mail sends one mail to one recipient.
func (m *mailer) mail(ctx context.Context, to string, text []byte) error {
	ctx, cancel := context.WithTimeout(ctx, mailWithin)
	defer cancel()
	conn, err := m.dialer.DialContext(ctx, "tcp", m.Smarthost)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if m.TLS == "implicit" {
		conn = tls.Client(conn, m.tls)
	}
	client, err := smtp.NewClient(conn, m.host)
	if err != nil {
		return err
	}
	if err := m.secure(client); err != nil {
		return err
	}
	if err := client.Mail(m.from.Address); err != nil {
		return err
	}
	if err := client.Rcpt(to); err != nil {
		return err
	}
	data, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := data.Write(text); err != nil {
		return err
	}
	if err := data.Close(); err != nil {
		return err
	}
	_ = client.Quit() // the mail has been taken
	return nil
}

// secure greets, encrypts and logs in.
func (m *mailer) secure(client *smtp.Client) error {
	if err := client.Hello(m.Hello); err != nil {
		return err
	}
	if m.TLS == "starttls" {
		if offered, _ := client.Extension("STARTTLS"); !offered {
			return sdk.Permanent(errors.New("the server offers no STARTTLS: tls: implicit is for port 465, tls: none for a server without"))
		}
		if err := client.StartTLS(m.tls); err != nil {
			return err
		}
	}
	if m.Username == "" {
		return nil
	}
	_, offered := client.Extension("AUTH")
	switch mechanisms := strings.Fields(strings.ToUpper(offered)); {
	case slices.Contains(mechanisms, "PLAIN"):
		return client.Auth(smtp.PlainAuth("", m.Username, m.Password, m.host))
	case slices.Contains(mechanisms, "LOGIN"):
		return client.Auth(&login{username: m.Username, password: m.Password})
	default:
		return sdk.Permanent(errors.New("the server offers neither AUTH PLAIN nor LOGIN"))
	}
}

// login is what Exchange offers instead of PLAIN: two questions, in this order, whatever their words are.
type login struct {
	username, password string
	asked              int
}

// Start implements smtp.Auth.
func (l *login) Start(*smtp.ServerInfo) (string, []byte, error) { return "LOGIN", nil, nil }

// Next implements smtp.Auth.
func (l *login) Next(_ []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	l.asked++
	switch l.asked {
	case 1:
		return []byte(l.username), nil
	case 2:
		return []byte(l.password), nil
	}
	return nil, errors.New("AUTH LOGIN: the server asks a third question")
}
