// Command notify-pagerduty is the notification plugin for PagerDuty, by its Events API v2. What it says is said by Alertmanager's notifier.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"

	amcommon "github.com/prometheus/alertmanager/config/common"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/notify/pagerduty"
	"github.com/prometheus/alertmanager/template"
	commonconfig "github.com/prometheus/common/config"

	"github.com/lockkeeper/lockkeeper/plugins/notify/alertmanager"
	"github.com/lockkeeper/lockkeeper/plugins/notify/channel"
	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	shownAlerts = 100 // an event has 512 KB at most
	textRunes   = 300 // of one label or annotation
)

func main() { sdk.ServeNotification(open) }

// settings is the plugin's configuration.
type settings struct {
	RoutingKey   string            `yaml:"routing_key"` // a secret
	APIURL       string            `yaml:"api_url"`
	Description  string            `yaml:"description"` // empty: the group's title
	Severity     string            `yaml:"severity"`    // empty: channel.Severity
	Details      map[string]string `yaml:"details"`     // beside those of every event
	Templates    []string          `yaml:"templates"`
	channel.HTTP `yaml:",inline"`
}

func open(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
	s := settings{APIURL: "https://events.pagerduty.com/v2/enqueue"}
	if err := c.Decode(&s); err != nil {
		return nil, err
	}
	notifier, err := s.notifier()
	if err != nil {
		return nil, sdk.Permanent(err)
	}
	return notifier.Client.Notification(notifier.Notify), nil
}

func (s *settings) notifier() (*alertmanager.Notifier, error) {
	if s.RoutingKey == "" {
		return nil, errors.New("routing_key: missing; it is the integration key of an Events API v2 integration")
	}
	api, err := channel.WebURL("api_url", s.APIURL)
	if err != nil {
		return nil, err
	}
	texts := []string{s.Description, s.Severity}
	for _, text := range s.Details {
		texts = append(texts, text)
	}
	templates, err := alertmanager.Templates(s.Templates, texts...)
	if err != nil {
		return nil, err
	}
	client, err := s.Client(s.RoutingKey)
	if err != nil {
		return nil, err
	}
	return &alertmanager.Notifier{
		Client: client, API: api, Templates: templates, Text: text, Alerts: shownAlerts,
		Build: func(g *sdk.Group, t *template.Template, options ...commonconfig.HTTPClientOption) (notify.Notifier, error) {
			return pagerduty.New(s.event(g, api), t, slog.New(slog.DiscardHandler), options...)
		},
	}, nil
}

// event is Alertmanager's configuration of an event for the group. The notifier reads all of it as templates: of the mesh there are only
// literals and links in it, which have no braces.
func (s *settings) event(g *sdk.Group, api *url.URL) *pagerduty.PagerdutyConfig {
	made := &pagerduty.PagerdutyConfig{
		HTTPConfig: &commonconfig.HTTPClientConfig{}, URL: &amcommon.URL{URL: alertmanager.Plain(api)}, RoutingKey: commonconfig.Secret(alertmanager.Literal(s.RoutingKey)),
		Description: cmp.Or(s.Description, alertmanager.Literal(text(channel.Title(g)))), Severity: cmp.Or(s.Severity, channel.Severity(g)), Source: "Lockkeeper", Client: "Lockkeeper", ClientURL: "{{ .ExternalURL }}",
		Details: maps.Clone(pagerduty.DefaultPagerdutyDetails),
	}
	for name, text := range s.Details {
		made.Details[name] = text
	}
	if more := channel.More(g, shownAlerts); more > 0 {
		made.Details["more"] = fmt.Sprintf("and %d more alerts", more)
	}
	link := func(text, href string) {
		if href != "" {
			made.Links = append(made.Links, pagerduty.PagerdutyLink{Href: href, Text: text})
		}
	}
	if g.Status == "firing" {
		for _, runbook := range channel.Runbooks(g) {
			link("Runbook", runbook)
		}
		link("Silence", channel.Silence(g))
	}
	link("Lockkeeper", channel.Link(g.ExternalURL))
	return made
}

// text has no markup in PagerDuty, but its addresses become links.
func text(of string) string { return channel.Clip(channel.Inert(of), textRunes) }
