package alerting

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/nflog/nflogpb"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/proto"
)

// notificationLog is Alertmanager's; each line is on disk before the next notification of its group.
type notificationLog struct {
	log     *nflog.Log
	journal *journal
}

var _ notify.NotificationLog = (*notificationLog)(nil)

// Log implements notify.NotificationLog.
func (l *notificationLog) Log(r *nflogpb.Receiver, group string, firing, resolved []uint64, store *nflog.Store, expiry time.Duration) error {
	if err := l.log.Log(r, group, firing, resolved, store, expiry); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), diskPatience)
	defer cancel()
	return l.journal.sync(ctx)
}

// over is when somebody was told last of alerts, by what they are called in the log, if they were told that these are over.
func (l *notificationLog) over() map[uint64]time.Time {
	over, fires := map[uint64]time.Time{}, map[uint64]time.Time{}
	entries, _ := l.log.MarshalBinary()                  // it only fails for want of memory
	_ = eachRecord(entries, func(_, body []byte) error { // which are whole
		var m nflogpb.MeshEntry
		if err := proto.Unmarshal(body, &m); err != nil {
			return err
		}
		at := m.Entry.Timestamp.AsTime()
		for _, list := range []struct {
			of      map[uint64]time.Time
			numbers []uint64
		}{{over, m.Entry.ResolvedAlerts}, {fires, m.Entry.FiringAlerts}} {
			for _, number := range list.numbers {
				if at.After(list.of[number]) {
					list.of[number] = at
				}
			}
		}
		return nil
	})
	maps.DeleteFunc(over, func(number uint64, at time.Time) bool { return fires[number].After(at) })
	return over
}

// numberOf is what Alertmanager calls an alert in the notification log.
func numberOf(labels model.LabelSet) uint64 {
	var text []byte
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		text = append(append(append(append(text, name...), 0xff), labels[name]...), 0xff)
	}
	return xxhash.Sum64(text)
}

// Query implements notify.NotificationLog.
func (l *notificationLog) Query(params ...nflog.QueryParam) ([]*nflogpb.Entry, error) {
	return l.log.Query(params...)
}
