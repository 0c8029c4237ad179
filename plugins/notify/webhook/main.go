// Command notify-webhook is the notification plugin that POSTs groups of alerts as Alertmanager's webhook does, signed if wanted.
package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"

	"github.com/lockkeeper/lockkeeper/plugins/notify/channel"
	"github.com/lockkeeper/lockkeeper/sdk"
)

func main() { sdk.ServeNotification(open) }

// settings is the plugin's configuration.
type settings struct {
	URL          string `yaml:"url"`
	Secret       string `yaml:"secret"` // signs the body; empty: no signature
	channel.HTTP `yaml:",inline"`
}

func open(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
	var s settings
	if err := c.Decode(&s); err != nil {
		return nil, err
	}
	if _, err := channel.WebURL("url", s.URL); err != nil {
		return nil, sdk.Permanent(err)
	}
	client, err := s.Client(s.Secret, s.URL)
	if err != nil {
		return nil, sdk.Permanent(err)
	}
	return client.Notification(func(ctx context.Context, g *sdk.Group) error {
		request, err := s.request(ctx, g)
		if err != nil {
			return sdk.Permanent(err)
		}
		_, err = client.Send(channel.Key(g), request)
		return err
	}), nil
}

func (s *settings) request(ctx context.Context, g *sdk.Group) (*http.Request, error) {
	body, err := json.Marshal(g)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if s.Secret != "" {
		mac := hmac.New(sha256.New, []byte(s.Secret))
		mac.Write(body)
		request.Header.Set("X-Lockkeeper-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	return request, nil
}
