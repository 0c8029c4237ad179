// Command notify-slack is the notification plugin for Slack, by an incoming webhook or a bot's token. What it says is said by
// Alertmanager's notifier.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	amconfig "github.com/prometheus/alertmanager/config"
	amcommon "github.com/prometheus/alertmanager/config/common"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/notify/slack"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/common/config"

	"github.com/lockkeeper/lockkeeper/plugins/notify/alertmanager"
	"github.com/lockkeeper/lockkeeper/plugins/notify/channel"
	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	shownAlerts = 20
	textRunes   = 300 // of one label or annotation

	defaultText = `{{ range .Alerts }}{{ if eq .Status "firing" }}:red_circle:{{ else }}:large_green_circle:{{ end }} ` +
		`{{ with or .Annotations.summary .Annotations.description .Annotations.message }}{{ . }}{{ else }}{{ .Labels.Values | join " " }}{{ end }}` +
		`{{ with .Annotations.runbook_url }} <{{ . }}|Runbook>{{ end }}{{ with .Annotations.dashboard_url }} <{{ . }}|Dashboard>{{ end }}` + "\n" + `{{ end }}`
)

func main() { sdk.ServeNotification(open) }

// settings is the plugin's configuration.
type settings struct {
	WebhookURL   string   `yaml:"webhook_url"`
	Token        string   `yaml:"token"`   // of a bot, instead of webhook_url
	Channel      string   `yaml:"channel"` // required with a token; a webhook has one of its own
	APIURL       string   `yaml:"api_url"` // with a token
	Title        string   `yaml:"title"`   // empty: channel.Title
	Text         string   `yaml:"text"`
	Templates    []string `yaml:"templates"`
	channel.HTTP `yaml:",inline"`
}

func open(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
	s := settings{APIURL: "https://slack.com/api/chat.postMessage", Text: defaultText}
	if err := c.Decode(&s); err != nil {
		return nil, err
	}
	api, err := s.api()
	if err != nil {
		return nil, sdk.Permanent(err)
	}
	templates, err := alertmanager.Templates(s.Templates, s.Title, s.Text)
	if err != nil {
		return nil, sdk.Permanent(err)
	}
	client, err := s.Client(s.Token, s.WebhookURL)
	if err != nil {
		return nil, sdk.Permanent(err)
	}
	if s.Token != "" {
		client.Authorization = "Bearer " + s.Token
	}
	notifier := alertmanager.Notifier{
		Client: client, API: api, Templates: templates, Text: escape, Alerts: shownAlerts,
		Build: func(g *sdk.Group, t *template.Template, options ...config.HTTPClientOption) (notify.Notifier, error) {
			return slack.New(s.message(g, api), t, slog.New(slog.DiscardHandler), options...)
		},
	}
	return client.Notification(notifier.Notify), nil
}

func (s *settings) api() (*url.URL, error) {
	switch {
	case (s.WebhookURL == "") == (s.Token == ""):
		return nil, errors.New("webhook_url, token: want one of them")
	case s.WebhookURL != "":
		return channel.WebURL("webhook_url", s.WebhookURL)
	case s.Channel == "":
		return nil, errors.New("channel: missing; a token needs one, such as #alerts")
	}
	return channel.WebURL("api_url", s.APIURL)
}

// message is Alertmanager's configuration of a message for the group.
func (s *settings) message(g *sdk.Group, api *url.URL) *amconfig.SlackConfig {
	title := cmp.Or(s.Title, alertmanager.Literal(escape(channel.Title(g))))
	made := &amconfig.SlackConfig{
		HTTPConfig: &config.HTTPClientConfig{}, APIURL: &amcommon.SecretURL{URL: alertmanager.Plain(api)}, Channel: s.Channel,
		Title: title, TitleLink: "{{ .ExternalURL }}", Text: s.Text, Fallback: title,
		Color: `{{ template "slack.default.color" . }}`,
	}
	if more := channel.More(g, shownAlerts); more > 0 {
		made.Footer = fmt.Sprintf("and %d more", more)
	}
	button := func(text, link string) {
		if link != "" {
			made.Actions = append(made.Actions, &amconfig.SlackAction{Type: "button", Text: text, URL: link})
		}
	}
	if g.Status == "firing" {
		button("Silence", channel.Silence(g))
	}
	button("Lockkeeper", channel.Link(g.ExternalURL))
	return made
}

// escape keeps text from being a mention, a link or anything else that Slack reads into <…>.
// https://docs.slack.dev/messaging/formatting-message-text#escaping
func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(channel.Clip(channel.Inert(text), textRunes))
}
