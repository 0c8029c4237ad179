// Command notify-email is the notification plugin that sends mail by SMTP: text and HTML, one mail for each recipient.
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"slices"
	"strings"

	"github.com/prometheus/common/config"

	"github.com/lockkeeper/lockkeeper/plugins/notify/channel"
	"github.com/lockkeeper/lockkeeper/sdk"
)

func main() { sdk.ServeNotification(open) }

// settings is the plugin's configuration.
type settings struct {
	Smarthost string           `yaml:"smarthost"` // host:port
	From      string           `yaml:"from"`
	To        []string         `yaml:"to"`
	TLS       string           `yaml:"tls"` // starttls, implicit or none
	TLSConfig config.TLSConfig `yaml:"tls_config"`
	Username  string           `yaml:"username"`
	Password  string           `yaml:"password"`
	Hello     string           `yaml:"hello"`
	Allow     []string         `yaml:"allow"`
}

func open(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
	s := settings{TLS: "starttls", Hello: "localhost"}
	if err := c.Decode(&s); err != nil {
		return nil, err
	}
	m, err := s.mailer()
	if err != nil {
		return nil, sdk.Permanent(err)
	}
	return &sdk.Notification{Notify: m.notify}, nil
}

func (s *settings) mailer() (*mailer, error) {
	var mistakes []error
	mistake := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	m := &mailer{settings: s, secrets: channel.Secrets(s.Password, base64.StdEncoding.EncodeToString([]byte(s.Password)),
		base64.StdEncoding.EncodeToString([]byte("\x00"+s.Username+"\x00"+s.Password)))}
	var err error
	if m.host, _, err = net.SplitHostPort(s.Smarthost); err != nil || m.host == "" {
		mistake("smarthost: want host:port, such as smtp.example.com:587")
	}
	if m.from, err = mail.ParseAddress(s.From); err != nil {
		mistake("from: want an address such as Lockkeeper <lockkeeper@example.com>")
	}
	for i, to := range s.To {
		address, err := mail.ParseAddress(to)
		if err != nil {
			mistake("to[%d]: want an address such as oncall@example.com", i)
			continue
		}
		m.to = append(m.to, address)
	}
	if len(s.To) == 0 {
		mistake("to: missing; want a list of addresses")
	}
	if !slices.Contains([]string{"starttls", "implicit", "none"}, s.TLS) {
		mistake("tls: want starttls, implicit or none")
	}
	if (s.Username == "") != (s.Password == "") {
		mistake("username, password: want both or none")
	}
	if s.Username != "" && s.TLS == "none" {
		mistake("tls: none would send the password in the clear")
	}
	if s.Hello == "" || strings.ContainsAny(s.Hello, " \r\n") {
		mistake("hello: want a host name")
	}
	if m.dialer, err = channel.Dialer(s.Allow); err != nil {
		mistake("%w", err)
	}
	if m.tls, err = config.NewTLSConfig(&s.TLSConfig); err != nil {
		mistake("tls_config: %w", err)
	} else if m.tls.ServerName == "" {
		m.tls.ServerName = m.host
	}
	return m, errors.Join(mistakes...)
}
