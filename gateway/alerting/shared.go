package alerting

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/alertmanager/cluster"
	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/nflog/nflogpb"
	amlabels "github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/alertmanager/silence/silencepb"
	"google.golang.org/protobuf/proto"
)

// clockAhead is how far another gateway's clock may be ahead. What comes from later would not be overwritten until then.
const clockAhead = time.Minute

// stamp says when a record was changed, when it can be forgotten, and when what is known here of the same thing was changed.
type stamp struct{ changed, expires, known time.Time }

// shared is silences, or the notification log, as the gateways of a cluster share them. It implements cluster.State.
type shared struct {
	cluster.State // Alertmanager's own
	file          string
	journal       *journal
	metrics       *metrics
	stamp         func(record []byte) (stamp, error)
}

// Merge implements cluster.State: it takes what is newer than what is known, and keeps it on disk like what was changed here. Alertmanager gives
// short messages to its broadcast, so that they are written and go on to others; long ones were sent to everybody.
func (s *shared) Merge(message []byte) error {
	news, err := s.news(message)
	if err == nil && len(news) > 0 {
		err = s.State.Merge(news)
	}
	if err != nil {
		s.metrics.merged(s.file, 0, 1)
		return fmt.Errorf("%s of another gateway: %w", s.file, err)
	}
	if cluster.OversizedMessage(news) {
		s.journal.append(news)
	}
	return nil
}

// news are the records of a message that are newer than what is known.
func (s *shared) news(message []byte) (news []byte, err error) {
	now := time.Now()
	taken, ahead := 0, 0
	err = eachRecord(message, func(record, body []byte) error {
		at, err := s.stamp(body)
		switch {
		case err != nil:
			return err
		case at.changed.After(now.Add(clockAhead)):
			ahead++
		case at.changed.After(at.known) && at.expires.After(now):
			taken++
			news = append(news, record...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.metrics.merged(s.file, taken, ahead)
	return news, nil
}

// silenceStamp reads a silence.
func silenceStamp(known *silence.Silences) func([]byte) (stamp, error) {
	return func(record []byte) (stamp, error) {
		var m silencepb.MeshSilence
		if err := proto.Unmarshal(record, &m); err != nil {
			return stamp{}, err
		}
		if err := checkSilence(m.GetSilence()); err != nil {
			return stamp{}, err
		}
		at := stamp{changed: m.Silence.UpdatedAt.AsTime(), expires: m.ExpiresAt.AsTime()}
		old, err := known.QueryOne(context.Background(), silence.QIDs(m.Silence.Id))
		if err == nil {
			at.known = old.UpdatedAt.AsTime()
		}
		return at, nil
	}
}

// checkSilence refuses what Alertmanager would take, and then fail to ask any silence.
func checkSilence(s *silencepb.Silence) error {
	if s.GetId() == "" {
		return errors.New("a silence without an id")
	}
	matchers := s.GetMatchers()
	for _, set := range s.GetMatcherSets() {
		matchers = append(matchers, set.GetMatchers()...)
	}
	if len(matchers) == 0 {
		return fmt.Errorf("silence %s: no matchers", s.GetId())
	}
	for _, m := range matchers {
		var err error
		switch m.GetType() {
		case silencepb.Matcher_EQUAL, silencepb.Matcher_NOT_EQUAL:
		case silencepb.Matcher_REGEXP, silencepb.Matcher_NOT_REGEXP:
			_, err = amlabels.NewMatcher(amlabels.MatchRegexp, m.GetName(), m.GetPattern())
		default:
			err = fmt.Errorf("a matcher of type %d", m.GetType())
		}
		if err != nil {
			return fmt.Errorf("silence %s: %w", s.GetId(), err)
		}
	}
	return nil
}

// toldStamp reads a line of the notification log.
func toldStamp(known *nflog.Log) func([]byte) (stamp, error) {
	return func(record []byte) (stamp, error) {
		var m nflogpb.MeshEntry
		if err := proto.Unmarshal(record, &m); err != nil {
			return stamp{}, err
		}
		if m.GetEntry().GetReceiver() == nil || len(m.Entry.GroupKey) == 0 {
			return stamp{}, errors.New("a notification without a receiver or a group")
		}
		at := stamp{changed: m.Entry.Timestamp.AsTime(), expires: m.ExpiresAt.AsTime()}
		old, err := known.Query(nflog.QReceiver(m.Entry.Receiver), nflog.QGroupKey(string(m.Entry.GroupKey)))
		if err == nil {
			at.known = old[0].Timestamp.AsTime()
		}
		return at, nil
	}
}
