package channel

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/config"

	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	callWithin  = 30 * time.Second // for a call without a deadline
	answerBytes = 64 << 10
	toldRunes   = 200 // of what the other side answers
	longestWait = time.Hour
)

// HTTP are the settings of every channel that speaks HTTP. They stand among the channel's own.
type HTTP struct {
	// Config is Alertmanager's http_config: proxy, TLS, authorization, headers. Nil: its default.
	Config *config.HTTPClientConfig `yaml:"http_config"`

	// Allow are prefixes of addresses that are not public and may be connected to all the same.
	Allow []string `yaml:"allow"`
}

// Client sends requests to one channel. It may be used by several at a time.
type Client struct {
	http    *http.Client
	secrets *strings.Replacer

	// Authorization is sent as the header of that name; empty: none.
	Authorization string
}

// Client makes the client. No error of its will tell the secrets; of one that is a URL, what comes after the host is one, too.
func (h HTTP) Client(secrets ...string) (*Client, error) {
	dialer, err := Dialer(h.Allow)
	if err != nil {
		return nil, err
	}
	settings := config.DefaultHTTPClientConfig
	if h.Config != nil {
		settings = *h.Config
	}
	client, err := config.NewClientFromConfig(settings, "notification", config.WithDialContextFunc(dialer.DialContext))
	if err != nil {
		return nil, fmt.Errorf("http_config: %w", err)
	}
	client.Timeout = callWithin
	if settings.FollowRedirects {
		client.CheckRedirect = sameRequest
	}
	return &Client{http: client, secrets: Secrets(append(secrets, credentials(settings)...)...)}, nil
}

// credentials are the secrets of http_config, as requests have them.
func credentials(c config.HTTPClientConfig) []string {
	secrets := []string{string(c.BearerToken)}
	if c.Authorization != nil {
		secrets = append(secrets, string(c.Authorization.Credentials))
	}
	if c.BasicAuth != nil {
		secrets = append(secrets, string(c.BasicAuth.Password), Basic(c.BasicAuth.Username, string(c.BasicAuth.Password)))
	}
	if c.HTTPHeaders != nil {
		for _, header := range c.HTTPHeaders.Headers {
			for _, secret := range header.Secrets {
				secrets = append(secrets, string(secret))
			}
		}
	}
	return secrets
}

// Basic is a user with a password as an Authorization header has them (RFC 7617).
func Basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// sameRequest follows what asks for the same request elsewhere. After a 301, 302 or 303 it would be a GET without what was to be told.
func sameRequest(next *http.Request, before []*http.Request) error {
	if next.Method != before[0].Method || len(before) > 5 {
		return http.ErrUseLastResponse
	}
	return nil
}

// Secrets leaves the secrets out of a text, as they are and as URLs have them.
func Secrets(secrets ...string) *strings.Replacer {
	var pairs []string
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		forms := []string{secret, url.QueryEscape(secret), url.PathEscape(secret)}
		if u, err := url.Parse(secret); err == nil && u.Host != "" && u.RequestURI() != "/" {
			forms = append(forms, u.RequestURI())
		}
		for _, form := range forms {
			pairs = append(pairs, form, "[REDACTED]")
		}
	}
	return strings.NewReplacer(pairs...)
}

// Send sends the request with the key, by which the other side can know a repeat. It returns the answer, with its body read, if there
// was one, and an error if the answer was not a success: retryable when none came, after 429 and after 5xx, else permanent.
func (c *Client) Send(key string, request *http.Request) (*http.Response, error) {
	request.Header.Set("User-Agent", "Lockkeeper")
	request.Header.Set("Idempotency-Key", key)
	if c.Authorization != "" {
		request.Header.Set("Authorization", c.Authorization)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.unsent(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerBytes))
	if err != nil {
		return nil, c.unsent(err)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	if response.StatusCode/100 == 2 {
		return response, nil
	}
	what := fmt.Sprintf("the other side answers %d %s", response.StatusCode, http.StatusText(response.StatusCode))
	if said := Clip(Clean(c.secrets.Replace(string(body))), toldRunes); said != "" { // in this order: no half of a secret is left
		what += ": " + said
	}
	err = errors.New(what)
	if response.StatusCode == http.StatusTooManyRequests || response.StatusCode/100 == 5 {
		return response, sdk.Retryable(err, pause(response.Header.Get("Retry-After"), time.Now()))
	}
	return response, sdk.Permanent(err)
}

// Hide is the text of an error without the secrets.
func (c *Client) Hide(err error) error { return errors.New(c.secrets.Replace(err.Error())) }

// Notification is the plugin that sends by notify, and by this client.
func (c *Client) Notification(notify func(ctx context.Context, g *sdk.Group) error) *sdk.Notification {
	return &sdk.Notification{
		Notify: func(ctx context.Context, g *sdk.Group) error {
			if len(g.Alerts) == 0 {
				return sdk.Permanent(errors.New("a group without alerts: there is nothing to tell"))
			}
			return notify(ctx, g)
		},
		Stop: func(context.Context) error { c.http.CloseIdleConnections(); return nil },
	}
}

func (c *Client) unsent(err error) error {
	var withURL *url.Error
	if errors.As(err, &withURL) {
		err = withURL.Err
	}
	return Unsent(err, c.secrets)
}

// Unsent is what became of something that got no answer: retryable, unless the address was refused.
func Unsent(err error, secrets *strings.Replacer) error {
	var refused *refusedError
	if errors.As(err, &refused) {
		return sdk.Permanent(refused)
	}
	return sdk.Retryable(errors.New(secrets.Replace(err.Error())), 0)
}

// pause is what a Retry-After asks for (RFC 9110, 10.2.3), an hour at most; 0 when it says nothing.
func pause(after string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(strings.TrimSpace(after)); err == nil {
		return min(max(time.Duration(seconds), 0), longestWait/time.Second) * time.Second
	}
	if date, err := http.ParseTime(after); err == nil {
		return min(max(date.Sub(now), 0), longestWait)
	}
	return 0
}

// WebURL checks that text is an absolute URL of the web. The error leaves it out, since it may hold a secret.
func WebURL(key, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%s: want a URL such as https://hooks.example.com/path", key)
	}
	return u, nil
}
