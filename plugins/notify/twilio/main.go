// Command notify-twilio is the notification plugin that sends SMS and makes phone calls, by Twilio.
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/lockkeeper/lockkeeper/plugins/notify/channel"
	"github.com/lockkeeper/lockkeeper/sdk"
)

func main() { sdk.ServeNotification(open) }

// settings is the plugin's configuration.
type settings struct {
	AccountSID   string   `yaml:"account_sid"`
	APIKey       string   `yaml:"api_key"`    // SK…, whose secret auth_token is then; empty: auth_token is the account's
	AuthToken    string   `yaml:"auth_token"` // a secret
	From         string   `yaml:"from"`       // a number, a sender, or a messaging service
	To           []string `yaml:"to"`
	By           []string `yaml:"by"` // sms, call
	APIURL       string   `yaml:"api_url"`
	channel.HTTP `yaml:",inline"`
}

func open(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
	s := settings{By: []string{bySMS}, APIURL: "https://api.twilio.com"}
	if err := c.Decode(&s); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, sdk.Permanent(err)
	}
	basic := base64.StdEncoding.EncodeToString([]byte(s.user() + ":" + s.AuthToken))
	client, err := s.Client(s.AuthToken, basic)
	if err != nil {
		return nil, sdk.Permanent(err)
	}
	client.Authorization = "Basic " + basic
	p := &phones{settings: s, client: client}
	return client.Notification(p.notify), nil
}

func (s *settings) user() string {
	if s.APIKey != "" {
		return s.APIKey
	}
	return s.AccountSID
}

// check names all that is wrong.
func (s *settings) check() error {
	var wrong []string
	want := func(ok bool, text string) {
		if !ok {
			wrong = append(wrong, text)
		}
	}
	matches := func(pattern, text string) bool { return regexp.MustCompile(`^(` + pattern + `)$`).MatchString(text) }
	number := `\+[1-9][0-9]{1,14}`
	want(matches(`AC[0-9a-f]{32}`, s.AccountSID), `account_sid: want the account's, "AC" and 32 digits`)
	want(s.APIKey == "" || matches(`SK[0-9a-f]{32}`, s.APIKey), `api_key: want the SID of an API key, "SK" and 32 digits`)
	want(s.AuthToken != "", "auth_token: missing")
	want(matches(number+`|MG[0-9a-f]{32}|[A-Za-z0-9 ]{1,11}`, s.From), `from: want a number such as "+15005550006", in quotes, a sender's name, or a messaging service, "MG" and 32 digits`)
	want(!slices.Contains(s.By, byCall) || matches(number, s.From), "from: a call needs a number")
	want(len(s.To) > 0, "to: want at least one number")
	for i, to := range s.To {
		want(matches(number, to), fmt.Sprintf(`to[%d]: want a number such as "+15005550006", in quotes`, i))
	}
	want(len(s.By) > 0, "by: want sms, call or both")
	for i, by := range s.By {
		want(by == bySMS || by == byCall, fmt.Sprintf("by[%d]: want sms or call", i))
	}
	if _, err := channel.WebURL("api_url", s.APIURL); err != nil {
		wrong = append(wrong, err.Error())
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// request asks Twilio for one SMS or one call.
// https://www.twilio.com/docs/messaging/api/message-resource, https://www.twilio.com/docs/voice/api/call-resource
func (s *settings) request(ctx context.Context, g *sdk.Group, by, to string) (*http.Request, error) {
	form := url.Values{"To": {to}}
	resource := "Messages"
	switch {
	case by == byCall:
		resource = "Calls"
		form.Set("From", s.From)
		form.Set("Twiml", spoken(g))
	case strings.HasPrefix(s.From, "MG") && len(s.From) == 34:
		form.Set("MessagingServiceSid", s.From)
		form.Set("Body", sms(g))
	default:
		form.Set("From", s.From)
		form.Set("Body", sms(g))
	}
	address := strings.TrimSuffix(s.APIURL, "/") + "/2010-04-01/Accounts/" + s.AccountSID + "/" + resource + ".json"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, sdk.Permanent(errors.New("api_url: the address is none"))
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request, nil
}
