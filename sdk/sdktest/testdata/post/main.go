// Command post is a notification plugin that posts a line of text to a URL.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/lockkeeper/lockkeeper/sdk"
)

func main() { sdk.ServeNotification(open) }

func open(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
	var settings struct {
		URL string `yaml:"url"`
	}
	if err := c.Decode(&settings); err != nil {
		return nil, err
	}
	if _, err := url.ParseRequestURI(settings.URL); err != nil {
		return nil, sdk.Permanent(errors.New("url: want the URL of the channel"))
	}
	return &sdk.Notification{
		Notify: func(ctx context.Context, g *sdk.Group) error {
			text := fmt.Sprintf("%s: %d alerts, %d firing\n", g.GroupLabels["alertname"], len(g.Alerts), len(g.Firing()))
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, settings.URL, strings.NewReader(text))
			if err != nil {
				return sdk.Permanent(err)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return errors.Unwrap(err) // not marked: the gateway tries again; without the URL, which may hold a secret
			}
			response.Body.Close()
			switch err := fmt.Errorf("the channel answered %s", response.Status); {
			case response.StatusCode < 300:
				return nil
			case response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= 500:
				return err
			default:
				return sdk.Permanent(err)
			}
		},
	}, nil
}
