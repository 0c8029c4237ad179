package alerting

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/config/receiver"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/common/model"
	"google.golang.org/grpc"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

// stopPatience leaves those who end in good order, after finish, the time to write that down.
const stopPatience = 2 * finish

// groupSweep is how often groups that are over are dropped.
const groupSweep = 30 * time.Second

// plan is what a file says, made ready. Making it changes nothing, so that a file that cannot be used leaves the last good one at work.
type plan struct {
	file      *file
	content   []byte // of the file and its templates, as it was read or before
	routes    *dispatch.Route
	receivers map[string][]notify.Integration
	channels  []watched
	intervals *timeinterval.Intervener
	templates *template.Template
}

// connect gives the connection to a plugin.
type connect func(plugin string) (grpc.ClientConnInterface, error)

func newPlan(f *file, external *url.URL, conn connect, log *slog.Logger) (*plan, error) {
	read := content(f.text, f.Templates)
	templates, err := template.FromGlobs(f.Templates)
	if err != nil {
		return nil, fmt.Errorf("%s: templates: %w", f.name, err)
	}
	templates.ExternalURL = external
	p := &plan{
		file: f, content: read, routes: dispatch.NewRoute(f.Route, nil), receivers: map[string][]notify.Integration{}, templates: templates,
	}
	for _, r := range f.Receivers {
		integrations, err := receiver.BuildReceiverIntegrations(r, templates, log)
		if err != nil {
			return nil, fmt.Errorf("%s: receiver %q: %w", f.name, r.Name, err)
		}
		seen := map[string]int{}
		for _, c := range f.plugins[r.Name] {
			to, err := conn(c.Plugin)
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", f.name, c.line, err)
			}
			channel := newChannel(r.Name, c, pluginv1.NewNotificationClient(to), templates, log)
			// The name and the number tell the notification log which channel it was: they do not change when others come and go.
			integrations = append(integrations, notify.NewIntegration(channel, c, "plugin/"+c.Plugin, seen[c.Plugin], r.Name))
			seen[c.Plugin]++
			p.channels = append(p.channels, channel)
		}
		p.receivers[r.Name] = integrations
	}
	intervals := map[string][]timeinterval.TimeInterval{}
	for _, t := range f.MuteTimeIntervals {
		intervals[t.Name] = t.TimeIntervals
	}
	for _, t := range f.TimeIntervals {
		intervals[t.Name] = t.TimeIntervals
	}
	p.intervals = timeinterval.NewIntervener(intervals)
	return p, nil
}

// delivery is a plan at work: alerts are inhibited, grouped and told of.
type delivery struct {
	plan       *plan
	inhibitor  *inhibit.Inhibitor
	dispatcher *dispatch.Dispatcher

	telling  sync.RWMutex // held for reading by each notification under way
	stopped  bool
	patience time.Duration // stopPatience
}

// deliver puts a plan to work instead of the one that is. Inhibition knows all alerts before anybody is told of the first.
func (a *alerting) deliver(p *plan) {
	if d := a.at.Load(); d != nil {
		d.stop()
	}
	s := a.state
	d := &delivery{plan: p, patience: stopPatience, inhibitor: inhibit.NewInhibitor(s.intake, p.file.InhibitRules, a.slog, eventrecorder.Recorder{})}
	a.peers.apart(p.routes)
	at := func() time.Duration { return 0 } // the turn is waited for before all of this
	pipeline := a.pipelines.New(p.receivers, at, d.inhibitor, s.silencer, p.intervals, a.groups, s.told, nil)
	inTurn := notify.MultiStage{
		notify.NewClusterGossipSettleStage(a.ready), notify.NewClusterWaitStage(a.peers.wait), d.remembering(s.intake, pipeline),
	}
	d.dispatcher = dispatch.NewDispatcher(s.intake, p.routes, inTurn, a.groups, a.peers.atLeast, groupSweep, nil,
		a.slog, eventrecorder.Recorder{}, a.dispatched, p.templates)
	go d.inhibitor.Run()
	d.inhibitor.WaitForLoading()
	go d.dispatcher.Run(time.Now())
	d.dispatcher.WaitForLoading()
	a.api.Update(p.file.Config, func(ctx context.Context, labels model.LabelSet) {
		d.inhibitor.Mutes(ctx, labels)
		s.silencer.Mutes(ctx, labels)
	})
	a.at.Store(d)
}

// remembering brings to the disk what is known of alerts before anybody is told: who was told of an alert will be told of its end. It goes by what is
// so after the wait for other gateways, who may have told since then that an alert is over.
func (d *delivery) remembering(alerts *intake, next notify.Stage) notify.Stage {
	return notify.StageFunc(func(ctx context.Context, log *slog.Logger, group ...*alert.Alert) (context.Context, []*alert.Alert, error) {
		d.telling.RLock()
		defer d.telling.RUnlock()
		if d.stopped {
			return ctx, nil, context.Canceled
		}
		group = alerts.now(group)
		// A disk that does not work is no reason to tell nobody; the journal counts it.
		waiting, cancel := context.WithTimeout(ctx, diskPatience)
		_ = alerts.told(waiting, group)
		cancel()
		return next.Exec(ctx, log, group...)
	})
}

// stop returns when the notifications under way have ended, each with its line in the notification log. One that does not care
// that it should end, such as an email to a server that hangs, is not waited for longer than a patience.
func (d *delivery) stop() {
	d.dispatcher.Stop()
	d.inhibitor.Stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.telling.Lock()
		defer d.telling.Unlock()
		d.stopped = true
	}()
	select {
	case <-ended:
	case <-time.After(d.patience):
	}
}
