package alerting

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
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

// forget drops alerts that were over longer ago. False when there was none.
func (i *intake) forget(after time.Duration) bool {
	before, limit := len(i.known), time.Now().Add(-after)
	maps.DeleteFunc(i.known, func(_ model.Fingerprint, r *remembered) bool { return r.Resolved && r.Alert.EndsAt.Before(limit) })
	return len(i.known) < before
}

// snapshot writes all that is remembered.
func (i *intake) snapshot(w io.Writer) (int64, error) {
	var all []byte
	i.mu.Lock()
	i.forget(keepResolved)
	for _, r := range i.known {
		record, err := json.Marshal(r)
		if err != nil {
			i.mu.Unlock()
			return 0, err
		}
		all = append(binary.AppendUvarint(all, uint64(len(record))), record...)
	}
	i.mu.Unlock()
	n, err := w.Write(all)
	return int64(n), err
}

// decodeAlerts reads what snapshot and write have written.
func decodeAlerts(records []byte) (map[model.Fingerprint]*remembered, error) {
	known := map[model.Fingerprint]*remembered{}
	for len(records) > 0 {
		length, size := binary.Uvarint(records)
		if size <= 0 || length > uint64(len(records)-size) {
			return nil, errors.New("half a record")
		}
		r := &remembered{restored: true}
		if err := json.Unmarshal(records[size:size+int(length)], r); err != nil {
			return nil, err
		}
		if r.Alert == nil {
			return nil, errors.New("a record without an alert")
		}
		if err := r.Alert.Validate(); err != nil {
			return nil, err
		}
		known[r.Alert.Fingerprint()] = r
		records = records[size+int(length):]
	}
	return known, nil
}

// restore makes what was known before the start known to all. An alert that fired goes on as if it had just been sent without an end: it is over when nobody
// sends it again for the resolve timeout. One that was over is known to be, in case nobody was told.
func (i *intake) restore(ctx context.Context, resolveTimeout time.Duration) error {
	now := time.Now()
	alerts := make([]*alert.Alert, 0, len(i.known))
	i.mu.Lock()
	i.forget(keepResolved)
	for _, r := range i.known {
		if !r.Resolved {
			r.Alert.EndsAt, r.Alert.UpdatedAt, r.Alert.Timeout = now.Add(resolveTimeout), now, true
		}
		r.ends = r.Alert.EndsAt
		alerts = append(alerts, r.Alert)
	}
	i.mu.Unlock()
	return i.Alerts.Put(ctx, alerts...)
}

// settle ends the alerts that were restored and that their source, which has had time enough, has not sent again.
func (i *intake) settle(ctx context.Context, from string) error {
	return i.end(ctx, from, func(r *remembered) bool { return r.restored })
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
			ended = append(ended, &a)
		}
	}
	i.mu.Unlock()
	if len(ended) == 0 {
		return nil
	}
	return i.Put(from(ctx, source), ended...)
}
