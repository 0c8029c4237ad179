// Command notify-msteams is the notification plugin for Microsoft Teams: Adaptive Cards to a workflow's webhook.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/lockkeeper/lockkeeper/plugins/notify/channel"
	"github.com/lockkeeper/lockkeeper/sdk"
)

func main() { sdk.ServeNotification(open) }

// settings is the plugin's configuration.
type settings struct {
	WebhookURL   string `yaml:"webhook_url"`
	channel.HTTP `yaml:",inline"`
}

func open(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
	var s settings
	if err := c.Decode(&s); err != nil {
		return nil, err
	}
	if _, err := channel.WebURL("webhook_url", s.WebhookURL); err != nil {
		return nil, sdk.Permanent(err)
	}
	client, err := s.Client(s.WebhookURL)
	if err != nil {
		return nil, sdk.Permanent(err)
	}
	return client.Notification(func(ctx context.Context, g *sdk.Group) error {
		body, err := fitting(g)
		if err != nil {
			return sdk.Permanent(err)
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.WebhookURL, bytes.NewReader(body))
		if err != nil {
			return sdk.Permanent(errors.New("webhook_url: it is none"))
		}
		request.Header.Set("Content-Type", "application/json")
		_, err = client.Send(channel.Key(g), request)
		return err
	}), nil
}

// fitting is the message with as many alerts as Teams takes.
func fitting(g *sdk.Group) ([]byte, error) {
	for shown := min(len(g.Alerts), shownAlerts); ; shown /= 2 {
		body, err := json.Marshal(message(g, shown))
		if err != nil || len(body) <= messageBytes || shown == 0 {
			return body, err
		}
	}
}
