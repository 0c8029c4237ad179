package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// open is the part to change for a channel of your own.
func open(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
	var channel channel
	if err := c.Decode(&channel); err != nil {
		return nil, err
	}
	if u, err := url.Parse(channel.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, sdk.Permanent(errors.New("url: want http://… or https://…")) // without the value: it may be a secret
	}
	channel.http = http.Client{
		// Followed, the POST would become a GET without the text.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       10 * time.Second, // for a call without a deadline
	}
	return &sdk.Notification{
		Notify: channel.notify,
		Stop:   func(context.Context) error { channel.http.CloseIdleConnections(); return nil },
	}, nil
}

// channel is where notifications go. Its exported fields are what `config:` may set.
type channel struct {
	URL   string `yaml:"url"`
	Token string `yaml:"token"` // sent as a bearer token; empty: none

	http http.Client
}

// notify returns nil when the other side has taken the group.
func (c *channel) notify(ctx context.Context, g *sdk.Group) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, strings.NewReader(line(g)))
	if err != nil {
		return sdk.Permanent(err)
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	response, err := c.http.Do(request)
	var failed *url.Error
	if errors.As(err, &failed) {
		return fmt.Errorf("the url does not answer: %w", failed.Err) // without the url
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection is used again
	switch code := response.StatusCode; {
	case code < 300:
		return nil
	case code >= 500, code == http.StatusRequestTimeout, code == http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // 0 when it says nothing, or a date
		return sdk.Retryable(fmt.Errorf("the url answers %d, which may pass", code), time.Duration(seconds)*time.Second)
	default:
		return sdk.Permanent(fmt.Errorf("the url answers %d", code))
	}
}

// line is the group in at most 1,000 characters, such as `FIRING HighErrorRate: 2 firing, 1 resolved: 5 % of requests fail`.
func line(g *sdk.Group) string {
	name := g.CommonLabels["alertname"]
	if name == "" {
		name = "alerts"
	}
	firing := len(g.Firing())
	text := fmt.Sprintf("%s %s: %d firing, %d resolved: %s",
		strings.ToUpper(g.Status), name, firing, len(g.Alerts)-firing, g.CommonAnnotations["summary"])
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	runes := []rune(strings.TrimSuffix(strings.Join(words, " "), ":"))
	return string(runes[:min(len(runes), 1000)])
}
