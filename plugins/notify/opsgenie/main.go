// Command notify-opsgenie is the notification plugin for Opsgenie, and for Jira Service Management's Operations, which take the same
// calls elsewhere. What it says is said by Alertmanager's notifier.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/prometheus/alertmanager/notify/opsgenie"

	"github.com/lockkeeper/lockkeeper/plugins/notify/alertmanager"
	"github.com/lockkeeper/lockkeeper/plugins/notify/channel"
	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	defaultDescription = `{{ range .Alerts }}{{ if and (eq .Status "resolved") (eq $.Status "firing") }}over: {{ end }}` +
		`{{ with or .Annotations.summary .Annotations.description .Annotations.message }}{{ . }}{{ else }}{{ .Labels.Values | join " " }}{{ end }}` + "\n" + `{{ end }}`
)

func main() { sdk.ServeNotification(open) }

// settings is the plugin's configuration.
type settings struct {
	API          string            `yaml:"api"`     // opsgenie or jsm
	APIKey       string            `yaml:"api_key"` // a secret
	APIURL       string            `yaml:"api_url"`
	Message      string            `yaml:"message"` // empty: the group's title
	Description  string            `yaml:"description"`
	Priority     string            `yaml:"priority"` // empty: by channel.Severity
	Entity       string            `yaml:"entity"`
	Tags         string            `yaml:"tags"`
	Details      map[string]string `yaml:"details"`
	Responders   []responder       `yaml:"responders"`
	UpdateAlerts bool              `yaml:"update_alerts"`
	Templates    []string          `yaml:"templates"`
	channel.HTTP `yaml:",inline"`
}

// responder is told of an alert; one of ID, Name and Username is wanted.
type responder struct {
	ID       string `yaml:"id"`
	Name     string `yaml:"name"`
	Username string `yaml:"username"`
	Type     string `yaml:"type"`
}

func open(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
	s := settings{API: "opsgenie", Description: defaultDescription}
	if err := c.Decode(&s); err != nil {
		return nil, err
	}
	notifier, err := s.notifier()
	if err != nil {
		return nil, sdk.Permanent(err)
	}
	return notifier.Client.Notification(func(ctx context.Context, g *sdk.Group) error {
		one := *notifier
		one.Build = s.build(one.API, channel.Title(g), channel.Severity(g))
		return one.Notify(ctx, fitting(g))
	}), nil
}

// notifier lacks Build, which is each group's.
func (s *settings) notifier() (*alertmanager.Notifier, error) {
	api, err := s.check()
	if err != nil {
		return nil, err
	}
	templates, err := alertmanager.Templates(s.Templates, s.texts()...)
	if err != nil {
		return nil, err
	}
	client, err := s.Client(s.APIKey)
	if err != nil {
		return nil, err
	}
	return &alertmanager.Notifier{Client: client, API: api, Templates: templates, Text: text, Alerts: shownAlerts}, nil
}

// check names all that is wrong, and returns where the API is.
func (s *settings) check() (*url.URL, error) {
	var wrong []string
	want := func(ok bool, text string) {
		if !ok {
			wrong = append(wrong, text)
		}
	}
	home := map[string]string{"opsgenie": "https://api.opsgenie.com/", "jsm": "https://api.atlassian.com/jsm/ops/integration/"}[s.API]
	want(home != "", "api: want opsgenie or jsm")
	want(s.APIKey != "", "api_key: missing; it is an API integration's")
	if s.APIURL != "" {
		home = strings.TrimSuffix(s.APIURL, "/") + "/"
	}
	api, err := channel.WebURL("api_url", home)
	want(err == nil || s.APIURL == "", fmt.Sprint(err))
	for i, r := range s.Responders {
		types := []string{"team", "teams", "user", "escalation", "schedule"}
		want(slices.Contains(types, r.Type), fmt.Sprintf("responders[%d].type: want one of %s", i, strings.Join(types, ", ")))
		want(r.ID+r.Name+r.Username != "", fmt.Sprintf("responders[%d]: want id, name or username", i))
	}
	if len(wrong) > 0 {
		return nil, errors.New(strings.Join(wrong, "; "))
	}
	return api, nil
}

// texts are all templates.
func (s *settings) texts() []string {
	texts := []string{s.Message, s.Description, s.Priority, s.Entity, s.Tags}
	for _, text := range s.Details {
		texts = append(texts, text)
	}
	for _, r := range s.Responders {
		texts = append(texts, r.ID, r.Name, r.Username)
	}
	return texts
}

func (s *settings) responders() []opsgenie.OpsGenieConfigResponder {
	list := make([]opsgenie.OpsGenieConfigResponder, len(s.Responders))
	for i, r := range s.Responders {
		list[i] = opsgenie.OpsGenieConfigResponder(r)
	}
	return list
}
