// Command threshold is an alerting plugin with one rule: it fires while a query has a result.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/lockkeeper/lockkeeper/sdk"
)

func main() { sdk.ServeAlerting(open) }

func open(_ context.Context, c sdk.Config) (*sdk.Alerting, error) {
	settings := struct {
		Name  string        `yaml:"name"`
		Query string        `yaml:"query"`
		Every time.Duration `yaml:"every"`
	}{Name: "Threshold", Every: 15 * time.Second}
	if err := c.Decode(&settings); err != nil {
		return nil, err
	}
	var since time.Time // when it began to fire; zero while it does not
	return &sdk.Alerting{
		Evaluate: func(ctx context.Context, s sdk.Source, send func([]sdk.Alert) error) error {
			for {
				found, err := ask(ctx, s.QueryURL, settings.Query)
				if err != nil {
					return err // Evaluate is called again
				}
				alert := sdk.Alert{Labels: map[string]string{"alertname": settings.Name}, StartsAt: since}
				switch {
				case found && since.IsZero():
					since = time.Now()
					alert.StartsAt = since
				case !found:
					alert.EndsAt = time.Now()
				}
				if !alert.StartsAt.IsZero() {
					if err := send([]sdk.Alert{alert}); err != nil {
						return err
					}
				}
				if !found {
					since = time.Time{}
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(settings.Every):
				}
			}
		},
	}, nil
}

// ask tells whether the query has a result.
func ask(ctx context.Context, base, query string) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1/query?query="+url.QueryEscape(query), nil)
	if err != nil {
		return false, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	var answer struct {
		Data struct {
			Result []json.RawMessage `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return false, fmt.Errorf("the source answered %s: %w", response.Status, err)
	}
	return len(answer.Data.Result) > 0, nil
}
