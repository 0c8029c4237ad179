package alerting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/provider"
	"github.com/prometheus/common/model"
)

// keepResolved is how long an alert that is over is kept, so that a gateway which was killed meanwhile can still say so.
const keepResolved = 24 * time.Hour

// alertBytes bounds the text of one alert, and with max_alerts what all of them take.
const alertBytes = 64 << 10

// Who alerts come from.
const (
	fromAPI     = "api"
	fromGateway = "gateway"
	fromPlugin  = "plugin/" // and its name
)

type sourceKey struct{}

// from says whom the alerts of a Put come from; without it, from the API.
func from(ctx context.Context, source string) context.Context {
	return context.WithValue(ctx, sourceKey{}, source)
}

func source(ctx context.Context) string {
	if s, ok := ctx.Value(sourceKey{}).(string); ok {
		return s
	}
	return fromAPI
}

// intake is what every alert passes on its way in: it bounds their number and remembers them on disk.
type intake struct {
	provider.Alerts // Alertmanager's own, in memory

	journal *journal
	metrics *metrics
	most    int

	mu    sync.Mutex
	known map[model.Fingerprint]*remembered
	swept time.Time // when it was last looked for what is over
}

// remembered is an alert as it was last written. It changes when the alert does, not each time that it is sent again.
type remembered struct {
	Alert    *alert.Alert `json:"alert"`
	Source   string       `json:"source"`
	Resolved bool         `json:"resolved"`

	ends     time.Time // as last sent; zero: when somebody says so
	restored bool      // nobody has sent it since the gateway was started
}

// differs tells whether an alert says something new.
func (r *remembered) differs(a *alert.Alert, source string, over bool) bool {
	return r.restored || r.Resolved != over || r.Source != source || !r.Alert.StartsAt.Equal(a.StartsAt) ||
		r.Alert.GeneratorURL != a.GeneratorURL || !maps.Equal(r.Alert.Annotations, a.Annotations)
}

// Put implements provider.Alerts. Alerts over the bound are refused, all others taken.
func (i *intake) Put(ctx context.Context, alerts ...*alert.Alert) error {
	taken := make([]*alert.Alert, 0, len(alerts))
	from := source(ctx)
	i.mu.Lock()
	for _, a := range alerts {
		if i.remember(a, from) {
			taken = append(taken, a)
		}
	}
	i.mu.Unlock()
	i.metrics.received(from, len(taken), len(alerts)-len(taken))
	if err := i.Alerts.Put(ctx, taken...); err != nil {
		return err
	}
	if refused := len(alerts) - len(taken); refused > 0 {
		return fmt.Errorf("%d alerts were refused: there are extensions::alerting::max_alerts (%d) already, or one has more than %d KiB",
			refused, i.most, alertBytes>>10)
	}
	return nil
}

// remember is false when there is no room.
func (i *intake) remember(a *alert.Alert, from string) bool {
	fingerprint, over := a.Fingerprint(), a.Resolved()
	r, ok := i.known[fingerprint]
	switch {
	case !fits(a):
		return false
	case !ok && over: // it was never told of
		return true
	case !ok && len(i.known) >= i.most && !i.makeRoom():
		return false
	case ok && !r.differs(a, from, over):
		r.ends = a.EndsAt
		return true
	}
	i.write(&remembered{Alert: a, Source: from, Resolved: over, ends: a.EndsAt})
	return true
}

// fits tells whether an alert is one for people to read.
func fits(a *alert.Alert) bool {
	size := len(a.GeneratorURL)
	for _, set := range []model.LabelSet{a.Labels, a.Annotations} {
		for name, value := range set {
			size += len(name) + len(value)
		}
	}
	return size <= alertBytes
}

func (i *intake) write(r *remembered) {
	i.known[r.Alert.Fingerprint()] = r
	if record, err := json.Marshal(r); err == nil { // labels, texts and times: it cannot fail
		i.journal.appendRecord(record)
	}
}

// makeRoom drops what is over. It looks for that once a second at most: a flood must not cost more than its refusal.
func (i *intake) makeRoom() bool {
	if time.Since(i.swept) < time.Second {
		return false
	}
	i.swept = time.Now()
	i.expire()
	return i.forget(0)
}

// sweep writes down which alerts are over because nobody sends them any more, and drops those that were over long ago.
func (i *intake) sweep() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.expire()
	i.forget(keepResolved)
}

func (i *intake) expire() {
	now := time.Now()
	for _, r := range i.known {
		if !r.Resolved && !r.ends.IsZero() && r.ends.Before(now) {
			a := *r.Alert
			a.EndsAt = r.ends
			i.write(&remembered{Alert: &a, Source: r.Source, Resolved: true, ends: r.ends})
		}
	}
}

// told writes down which of the alerts are over before anybody is told that they are, and returns when all that is known of alerts is on disk.
func (i *intake) told(ctx context.Context, alerts []*alert.Alert) error {
	i.mu.Lock()
	for _, a := range alerts {
		if r, ok := i.known[a.Fingerprint()]; ok && a.Resolved() && !r.Resolved {
			i.write(&remembered{Alert: a, Source: r.Source, Resolved: true, ends: a.EndsAt})
		}
	}
	i.mu.Unlock()
	return i.journal.sync(ctx)
}

// now are the alerts as they are now: some have ended, or begun again, since they were gathered.
func (i *intake) now(gathered []*alert.Alert) []*alert.Alert {
	now := time.Now()
	alerts := slices.Clone(gathered)
	i.mu.Lock()
	defer i.mu.Unlock()
	for n, a := range alerts {
		r, ok := i.known[a.Fingerprint()]
		if !ok {
			continue
		}
		over := r.Resolved || !r.ends.IsZero() && r.ends.Before(now)
		if over == a.Resolved() {
			continue
		}
		changed := *r.Alert
		if changed.EndsAt = r.ends; !over {
			changed.EndsAt = time.Time{}
		}
		alerts[n] = &changed
	}
	return alerts
}

// forget drops alerts that were over longer ago. False when there was none.
func (i *intake) forget(after time.Duration) bool {
	before, limit := len(i.known), time.Now().Add(-after)
	maps.DeleteFunc(i.known, func(_ model.Fingerprint, r *remembered) bool { return r.Resolved && r.Alert.EndsAt.Before(limit) })
	return len(i.known) < before
}

// replace makes alerts all that fires of a source.
func (i *intake) replace(ctx context.Context, source string, alerts []*alert.Alert) error {
	firing := make(map[model.Fingerprint]bool, len(alerts))
	for _, a := range alerts {
		firing[a.Fingerprint()] = true
	}
	err := i.end(ctx, source, func(r *remembered) bool { return !firing[r.Alert.Fingerprint()] })
	changed := make([]*alert.Alert, 0, len(alerts))
	i.mu.Lock()
	for _, a := range alerts {
		if r, ok := i.known[a.Fingerprint()]; !ok || r.differs(a, source, false) {
			changed = append(changed, a)
		}
	}
	i.mu.Unlock()
	return errors.Join(err, i.Put(from(ctx, source), changed...))
}

// end ends those firing alerts of a source that over names.
func (i *intake) end(ctx context.Context, source string, over func(*remembered) bool) error {
	now := time.Now()
	var ended []*alert.Alert
	i.mu.Lock()
	for _, r := range i.known {
		if r.Source == source && !r.Resolved && over(r) {
			a := *r.Alert
			a.EndsAt, a.UpdatedAt, a.Timeout = now, now, false
			if a.StartsAt.After(now) { // by the clock of another gateway; what ends before it begins is no alert
				a.StartsAt = now
			}
			ended = append(ended, &a)
		}
	}
	i.mu.Unlock()
	if len(ended) == 0 {
		return nil
	}
	return i.Put(from(ctx, source), ended...)
}
