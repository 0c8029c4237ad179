// Package alertmanager sends groups of alerts by Alertmanager's own notifiers. The notifier says what is sent; a channel.Client sends
// it, so that addresses are guarded, a Retry-After is heard and errors tell no secret, which the notifiers by themselves do not do.
package alertmanager

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/lockkeeper/lockkeeper/plugins/notify/channel"
	"github.com/lockkeeper/lockkeeper/sdk"
)

// Notifier sends groups by a notifier of Alertmanager. It may be used by several at a time.
type Notifier struct {
	// Client sends what the notifier wants to send.
	Client *channel.Client

	// API is where that goes. The notifier is built for API with the scheme http, whatever API has: see Plain.
	API *url.URL

	// Build makes the notifier for a group, with these templates and options and an empty HTTPConfig.
	Build func(g *sdk.Group, t *template.Template, options ...config.HTTPClientOption) (notify.Notifier, error)

	// Templates are Alertmanager's and those of the plugin's configuration: see Templates.
	Templates *template.Template

	// Text makes strings of the mesh harmless; at most Alerts alerts are told of.
	Text   func(string) string
	Alerts int
}

// Templates reads Alertmanager's own templates and those in the files that the patterns name, and checks that each of texts is one.
func Templates(patterns []string, texts ...string) (*template.Template, error) {
	t, err := template.FromGlobs(patterns)
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	t.ExternalURL = new(url.URL)
	for _, text := range texts {
		if _, err := t.ExecuteTextString(text, t.Data("", nil, nil, "")); err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
	}
	return t, nil
}

// Literal is a template that says text.
func Literal(text string) string { return "{{ " + strconv.Quote(text) + " }}" }

// Plain is the API's address as the notifier is to have it: by http, which is read here and goes on by the API's own scheme.
func Plain(api *url.URL) *url.URL {
	plain := *api
	plain.Scheme = "http"
	return &plain
}

// Notify tells of the group. The error is marked as the SDK wants it.
func (n *Notifier) Notify(ctx context.Context, g *sdk.Group) error {
	sending := &sending{ctx: ctx, client: n.Client, scheme: n.API.Scheme, key: channel.Key(g)}
	shaped := channel.Shape(g, n.Alerts, n.Text)
	templates := *n.Templates
	templates.ExternalURL, _ = url.Parse(shaped.ExternalURL) // which Shape has checked
	notifier, err := n.Build(g, &templates, config.WithDialContextFunc(sending.dial), config.WithKeepAlivesDisabled())
	if err != nil {
		return sdk.Permanent(n.Client.Hide(err))
	}
	retry, err := notifier.Notify(described(ctx, shaped, g.GroupKey), alerts(shaped)...)
	sending.underWay.Wait()
	switch {
	case err == nil:
		return nil
	case sending.failed != nil:
		return sending.failed
	case retry:
		return sdk.Retryable(n.Client.Hide(err), 0)
	default:
		return sdk.Permanent(n.Client.Hide(err))
	}
}

// described is ctx with what notifiers ask it for.
func described(ctx context.Context, g *sdk.Group, key string) context.Context {
	ctx = notify.WithReceiverName(ctx, g.Receiver)
	ctx = notify.WithGroupKey(ctx, key)
	ctx = notify.WithGroupLabels(ctx, labels(g.GroupLabels))
	return notify.WithNotificationReason(ctx, notify.ReasonUnknown)
}

func alerts(g *sdk.Group) []*alert.Alert {
	list := make([]*alert.Alert, len(g.Alerts))
	for i, a := range g.Alerts {
		list[i] = &alert.Alert{Alert: model.Alert{
			Labels: labels(a.Labels), Annotations: labels(a.Annotations), StartsAt: a.StartsAt, GeneratorURL: a.GeneratorURL,
		}}
		if a.Status == "resolved" { // which a notifier asks the clock for
			list[i].EndsAt = a.EndsAt
			if now := time.Now(); a.EndsAt.IsZero() || a.EndsAt.After(now) {
				list[i].EndsAt = now
			}
		}
	}
	return list
}

func labels(of map[string]string) model.LabelSet {
	set := make(model.LabelSet, len(of))
	for name, value := range of {
		set[model.LabelName(name)] = model.LabelValue(value)
	}
	return set
}

// sending is what one call of a notifier sends.
type sending struct {
	ctx    context.Context
	client *channel.Client
	scheme string
	key    string

	underWay sync.WaitGroup
	mu       sync.Mutex
	failed   error // the last failure; read when nothing is under way
}

// dial gives the notifier a connection, with this process at its other end.
func (s *sending) dial(context.Context, string, string) (net.Conn, error) {
	theirs, ours := net.Pipe()
	s.underWay.Go(func() {
		defer ours.Close()
		if err := s.serve(ours); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.failed = err
		}
	})
	return theirs, nil
}

// serve passes on the one request that comes by the connection.
func (s *sending) serve(conn net.Conn) error {
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return s.ctx.Err() // the notifier gave up, and says why itself
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return s.ctx.Err()
	}
	request.URL.Scheme, request.URL.Host = s.scheme, request.Host
	onward, err := http.NewRequestWithContext(s.ctx, request.Method, request.URL.String(), bytes.NewReader(body))
	if err != nil {
		return sdk.Permanent(errors.New("the address is none"))
	}
	for _, name := range []string{"Content-Type", "Authorization"} {
		if value := request.Header.Get(name); value != "" {
			onward.Header.Set(name, value)
		}
	}
	response, failed := s.client.Send(s.key, onward)
	back := &http.Response{StatusCode: http.StatusBadGateway, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: http.NoBody}
	if response != nil {
		back.StatusCode, back.Body = response.StatusCode, response.Body
		back.Header.Set("Content-Type", response.Header.Get("Content-Type"))
	}
	_ = back.Write(conn) // the notifier may have gone away; what failed is known here
	return failed
}
