// Command notify-pushover is the notification plugin for mobile push by Pushover. It does not use Alertmanager's notifier, which puts
// the token into the URL, where proxies log it, and leaves an alarm ringing that is over.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/lockkeeper/lockkeeper/plugins/notify/channel"
	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	titleRunes   = 250 // https://pushover.net/api#limits
	messageRunes = 1024
	urlBytes     = 512

	emergency    = 2
	longestRings = 3 * time.Hour
	leastRetry   = 30 * time.Second
)

func main() { sdk.ServeNotification(open) }

// settings is the plugin's configuration.
type settings struct {
	Token        string        `yaml:"token"` // of the application; a secret
	User         string        `yaml:"user"`  // a user's or a group's key; a secret
	Device       string        `yaml:"device"`
	Sound        string        `yaml:"sound"`
	Priority     *int          `yaml:"priority"` // of what fires; nil: by channel.Severity
	Retry        time.Duration `yaml:"retry"`    // with priority 2
	Expire       time.Duration `yaml:"expire"`   // with priority 2
	APIURL       string        `yaml:"api_url"`
	channel.HTTP `yaml:",inline"`
}

func open(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
	s := settings{Retry: time.Minute, Expire: time.Hour, APIURL: "https://api.pushover.net"}
	if err := c.Decode(&s); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, sdk.Permanent(err)
	}
	client, err := s.Client(s.Token, s.User)
	if err != nil {
		return nil, sdk.Permanent(err)
	}
	return client.Notification(func(ctx context.Context, g *sdk.Group) error {
		if err := s.silence(ctx, client, g); err != nil {
			return err
		}
		return s.post(ctx, client, channel.Key(g), "/1/messages.json", s.message(g))
	}), nil
}

// check names all that is wrong.
func (s *settings) check() error {
	var wrong []string
	want := func(ok bool, text string) {
		if !ok {
			wrong = append(wrong, text)
		}
	}
	want(s.Token != "", "token: missing; it is the application's")
	want(s.User != "", "user: missing; it is a user's or a group's key")
	want(s.Priority == nil || *s.Priority >= -2 && *s.Priority <= emergency, "priority: want -2 to 2")
	want(s.Retry >= leastRetry, fmt.Sprintf("retry: want at least %s", leastRetry))
	want(s.Expire > 0 && s.Expire <= longestRings, fmt.Sprintf("expire: want at most %s", longestRings))
	if _, err := channel.WebURL("api_url", s.APIURL); err != nil {
		wrong = append(wrong, err.Error())
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// message is the group as https://pushover.net/api#messages has it. There is no html=1, so that nothing in it is markup.
func (s *settings) message(g *sdk.Group) url.Values {
	text := *g
	text.ExternalURL = "" // it has a place of its own
	title, rest, _ := strings.Cut(channel.Plain(&text, messageRunes), "\n")
	form := url.Values{"token": {s.Token}, "user": {s.User}, "title": {channel.Clip(title, titleRunes)}, "message": {rest}}
	if rest == "" {
		form.Set("message", title) // which must not be empty
	}
	set := func(key, value string) {
		if value != "" {
			form.Set(key, value)
		}
	}
	set("device", s.Device)
	set("sound", s.Sound)
	if link := channel.Link(g.ExternalURL); link != "" && len(link) <= urlBytes {
		set("url", link)
		set("url_title", "Lockkeeper")
	}
	priority := s.priority(g)
	if g.Status == "resolved" {
		priority = min(priority, 0)
	}
	set("priority", strconv.Itoa(priority))
	if priority == emergency {
		set("retry", seconds(s.Retry))
		set("expire", seconds(s.Expire))
		set("tags", tag(g))
	}
	return form
}

// priority is the group's while it fires.
func (s *settings) priority(g *sdk.Group) int {
	if s.Priority != nil {
		return *s.Priority
	}
	return map[string]int{"critical": emergency, "error": 1, "info": -1}[channel.Severity(g)]
}

// silence ends the alarm that rings for the group, so that there is never more than one, and none for what is over.
// https://pushover.net/api/receipts#cancel_by_tag
func (s *settings) silence(ctx context.Context, client *channel.Client, g *sdk.Group) error {
	if s.Priority != nil && *s.Priority < emergency {
		return nil // there never was one
	}
	err := s.post(ctx, client, channel.Key(g), "/1/receipts/cancel_by_tag/"+tag(g)+".json", url.Values{"token": {s.Token}})
	if sdk.IsPermanent(err) {
		return nil // the message matters more; if it is the token that is wrong, the message says so
	}
	return err
}

// post sends the form. Neither URL nor header has a secret.
func (s *settings) post(ctx context.Context, client *channel.Client, key, path string, form url.Values) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(s.APIURL, "/")+path, strings.NewReader(form.Encode()))
	if err != nil {
		return sdk.Permanent(errors.New("api_url: the address is none"))
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	_, err = client.Send(key, request)
	return err
}

// tag is the same for each notification of the group.
func tag(g *sdk.Group) string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%q %q", g.Receiver, g.GroupKey)))
	return "lockkeeper-" + hex.EncodeToString(sum[:16])
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }
