package alerting

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/common/model"
)

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
	return known, eachRecord(records, func(_, body []byte) error {
		r := &remembered{restored: true}
		if err := json.Unmarshal(body, r); err != nil {
			return err
		}
		if r.Alert == nil {
			return errors.New("a record without an alert")
		}
		if err := r.Alert.Validate(); err != nil {
			return err
		}
		known[r.Alert.Fingerprint()] = r
		return nil
	})
}

// restore makes what was known before the start known to all. An alert that fired goes on as if it had just been sent without an end: it is over when nobody
// sends it again for the resolve timeout. One that was over is known to be, in case nobody was told; so is one of which others have told that it is
// over since it was written. What was sent meanwhile is newer.
func (i *intake) restore(ctx context.Context, resolveTimeout time.Duration, over map[uint64]time.Time) error {
	now := time.Now()
	i.mu.Lock() // until all are known: what is sent now is newer
	defer i.mu.Unlock()
	i.forget(keepResolved)
	alerts := make([]*alert.Alert, 0, len(i.known))
	for _, r := range i.known {
		if !r.restored {
			continue
		}
		ended := over[numberOf(r.Alert.Labels)]
		switch {
		case r.Resolved:
		case ended.After(r.Alert.UpdatedAt) && ended.After(r.Alert.StartsAt):
			r.Alert.EndsAt, r.Alert.UpdatedAt, r.Alert.Timeout = ended, ended, false
			r.Resolved = true
			i.write(r)
		default:
			r.Alert.EndsAt, r.Alert.UpdatedAt, r.Alert.Timeout = now.Add(resolveTimeout), now, true
		}
		r.ends = r.Alert.EndsAt
		alerts = append(alerts, r.Alert)
	}
	return i.Alerts.Put(ctx, alerts...)
}

// settle ends the alerts that were restored and that their source, which has had time enough, has not sent again.
func (i *intake) settle(ctx context.Context, from string) error {
	return i.end(ctx, from, func(r *remembered) bool { return r.restored })
}
