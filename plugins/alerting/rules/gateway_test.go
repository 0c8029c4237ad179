package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// gateway receives alerts as the gateway does: the newest word on each, by alertname and label.
type gateway struct {
	t    testing.TB
	mu   sync.Mutex
	last map[string]*pluginv1.Alert
	came []string // each change of state: "Name{labels} fires" or "… is over"
}

// listen starts an evaluation. Alerts of an earlier one are kept.
func (g *gateway) listen(p *process, s *victoria) *gateway {
	g.t.Helper()
	ctx, cancel := context.WithCancel(g.t.Context())
	urls := s.urls()
	stream, err := pluginv1.NewAlertingClient(p.conn).Start(ctx, &pluginv1.StartRequest{QueryUrl: urls.QueryURL, RemoteWriteUrl: urls.RemoteWriteURL})
	if err != nil {
		g.t.Fatal(err)
	}
	ended := make(chan struct{})
	g.t.Cleanup(func() { cancel(); <-ended })
	go func() {
		defer close(ended)
		for {
			message, err := stream.Recv()
			if err != nil {
				return
			}
			for _, alert := range message.GetAlerts() {
				g.take(alert)
			}
		}
	}()
	return g
}

func (g *gateway) take(alert *pluginv1.Alert) {
	g.mu.Lock()
	defer g.mu.Unlock()
	name := key(alert)
	if was, is := fires(g.last[name]), fires(alert); was != is {
		g.came = append(g.came, name+map[bool]string{true: " fires", false: " is over"}[is])
	}
	if g.last == nil {
		g.last = map[string]*pluginv1.Alert{}
	}
	g.last[name] = alert
}

func key(alert *pluginv1.Alert) string {
	rest := maps.Clone(alert.GetLabels())
	delete(rest, "alertname")
	var text []string
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		text = append(text, name+"="+rest[name])
	}
	return alert.GetLabels()["alertname"] + "{" + strings.Join(text, ",") + "}"
}

func fires(alert *pluginv1.Alert) bool {
	return alert != nil && alert.GetEndsAt().AsTime().After(time.Now())
}

func (g *gateway) knows(name string) *pluginv1.Alert {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last[name]
}

func (g *gateway) fires(name string) {
	g.t.Helper()
	until(g.t, name+" fires", func() bool { return fires(g.knows(name)) })
}

func (g *gateway) over(name string) {
	g.t.Helper()
	until(g.t, name+" is over", func() bool { return g.knows(name) != nil && !fires(g.knows(name)) })
}

func (g *gateway) all() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.came)
}

func (g *gateway) send(alerts []sdk.Alert) error {
	if len(alerts) > inMessage {
		g.t.Errorf("%d alerts in one message", len(alerts))
	}
	for _, a := range alerts {
		g.take(&pluginv1.Alert{
			Labels: a.Labels, Annotations: a.Annotations, GeneratorUrl: a.GeneratorURL,
			StartsAt: timestamppb.New(a.StartsAt), EndsAt: timestamppb.New(a.EndsAt),
		})
	}
	return nil
}

// only fails the test if anything else was told than alerts whose names begin with these.
func (g *gateway) only(names ...string) {
	g.t.Helper()
	for _, came := range g.all() {
		if !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(came, name) }) {
			g.t.Error(came)
		}
	}
}
