package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"unicode/utf8"

	amcommon "github.com/prometheus/alertmanager/config/common"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/notify/opsgenie"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/common/config"

	"github.com/lockkeeper/lockkeeper/plugins/notify/alertmanager"
	"github.com/lockkeeper/lockkeeper/plugins/notify/channel"
	"github.com/lockkeeper/lockkeeper/sdk"
)

// An alert that is too long is refused, and nobody would be told: https://docs.opsgenie.com/docs/alert-api#create-alert. Of the 15,000
// characters of a description the alerts may take 8,000 and the links the rest; all details have 8,000.
const (
	shownAlerts = 40
	shownRunes  = 8000
	textRunes   = 180 // of one label or annotation
)

// fitting is the group with the alerts that there is room for, those that fire first; one at least.
func fitting(g *sdk.Group) *sdk.Group {
	fitted := channel.Shape(g, shownAlerts, func(text string) string { return text })
	room := shownRunes
	for i, a := range fitted.Alerts {
		room -= length(a.Labels) + length(a.Annotations)
		if room < 0 && i > 0 {
			fitted.TruncatedAlerts += uint64(len(fitted.Alerts) - i)
			fitted.Alerts = fitted.Alerts[:i]
			break
		}
	}
	return fitted
}

// length is what the values take when they are told.
func length(values map[string]string) int {
	sum := 0
	for _, value := range values {
		sum += utf8.RuneCountInString(text(value)) + 1
	}
	return sum
}

// build makes the notifier for a group with this title and severity. It reads all of this as templates: of the mesh there are only literals and
// links in it, which have no braces.
func (s *settings) build(api *url.URL, title, severity string) func(*sdk.Group, *template.Template, ...config.HTTPClientOption) (notify.Notifier, error) {
	priority := map[string]string{"critical": "P1", "error": "P2", "warning": "P3", "info": "P5"}[severity]
	return func(g *sdk.Group, t *template.Template, options ...config.HTTPClientOption) (notify.Notifier, error) {
		return opsgenie.New(&opsgenie.OpsGenieConfig{
			HTTPConfig: &config.HTTPClientConfig{}, APIURL: &amcommon.URL{URL: alertmanager.Plain(api)}, APIKey: config.Secret(alertmanager.Literal(s.APIKey)),
			Message: cmp.Or(s.Message, alertmanager.Literal(text(title))), Description: s.Description + tail(g), Priority: cmp.Or(s.Priority, priority), Entity: s.Entity, Tags: s.Tags, Source: "Lockkeeper",
			Details: s.Details, Responders: s.responders(), UpdateAlerts: s.UpdateAlerts,
		}, t, slog.New(slog.DiscardHandler), options...)
	}
}

// tail ends a description: how many alerts there are besides, and links.
func tail(g *sdk.Group) string {
	var text strings.Builder
	if more := channel.More(g, shownAlerts); more > 0 {
		fmt.Fprintf(&text, "and %d more\n", more)
	}
	line := func(name, link string) {
		if link != "" {
			fmt.Fprintf(&text, "\n%s: %s", name, link)
		}
	}
	if runbooks := channel.Runbooks(g); len(runbooks) > 0 {
		line("Runbook", runbooks[0])
	}
	line("Silence", channel.Silence(g))
	line("Lockkeeper", channel.Link(g.ExternalURL))
	return text.String()
}

// text has neither HTML, which Opsgenie shows, nor Markdown's links, which JSM does. Entities would be seen as such on a phone.
func text(of string) string {
	return channel.Clip(strings.NewReplacer("<", "‹", ">", "›", "](", "] (").Replace(channel.Inert(of)), textRunes)
}
