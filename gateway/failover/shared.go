package failover

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	gossip "github.com/prometheus/alertmanager/cluster"
	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"
)

// members is what failover needs of the extension cluster.
type members interface {
	who
	joining
	AddState(key string, state gossip.State) gossip.ClusterChannel
}

// who are the members.
type who interface {
	Self() (name, site string)
	Alive() map[string]string // by member that answers, its site
}

// joining is how they come and go.
type joining interface {
	WatchMembers(changed func()) (stop func())
	WaitReady(ctx context.Context) error // until it is known what the others know, or nobody answers
}

// sharing is what this gateway has in common with the others. The ledger is also used by who brings their messages.
type sharing struct {
	members members
	channel gossip.ClusterChannel
	self    string
	site    string
	rules   string // a digest of the rules: who has others decides otherwise
	log     *zap.Logger
	heard   chan struct{} // holds one when something came, or somebody came or went

	mu     sync.Mutex
	ledger *ledger

	// The loop's own.
	voices voices
	holds  []Hold // as all knew them when it was looked last
	holdsN uint64
	plan   *entry
	swept  time.Time
	saved  uint64 // of the ledger's changes
}

// findMembers gives the extension cluster; nil when there is none, and this gateway is alone.
func findMembers(host component.Host) members {
	for _, extension := range host.GetExtensions() {
		if m, ok := extension.(members); ok {
			return m
		}
	}
	return nil
}

// newSharing joins what the members share. Without members there must be no sites either.
func newSharing(m members, rules Rules, log *zap.Logger, c *clock) (*sharing, error) {
	if m == nil {
		if len(rules.Sites) > 0 {
			return nil, errors.New("failover: sites: they decide together by the extension cluster, which is not configured: add it, or leave sites out")
		}
		return nil, nil
	}
	self, site := m.Self()
	if _, ok := rules.Sites[site]; !ok {
		return nil, fmt.Errorf("failover: sites: there is no %q, which is cluster::site of this gateway: sites must name all that judge, with the IDC each is in; there are %q",
			site, slices.Sorted(maps.Keys(rules.Sites)))
	}
	if self == "" || strings.Contains(self, "/") {
		return nil, fmt.Errorf("failover: cluster::name: %q: must not be empty nor hold a slash", self)
	}
	text, err := json.Marshal(rules)
	if err != nil {
		return nil, fmt.Errorf("failover: %w", err)
	}
	digest := sha256.Sum256(text)
	return &sharing{
		members: m, self: self, site: site, rules: hex.EncodeToString(digest[:8]), log: log, heard: make(chan struct{}, 1),
		ledger: newLedger(self, rules.Sites, c),
	}, nil
}

// MarshalBinary is all that this gateway knows. It may be called at any time.
func (s *sharing) MarshalBinary() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.whole(time.Now()), nil
}

// Merge takes what another gateway knows. It may be called at any time, and concurrently.
func (s *sharing) Merge(message []byte) error {
	s.mu.Lock()
	err := s.ledger.hear(message, time.Now())
	s.mu.Unlock()
	s.wake()
	return err
}

// wake has the loop look.
func (s *sharing) wake() {
	select {
	case s.heard <- struct{}{}:
	default:
	}
}

// time is the clock that gateways share; of nil this gateway's own.
func (s *sharing) time() *clock {
	if s == nil {
		return nil
	}
	return s.ledger.clock
}

// join waits until it is known what the others know.
func (s *sharing) join(ctx context.Context) {
	if err := s.members.WaitReady(ctx); err != nil && ctx.Err() == nil {
		s.log.Warn("failover decides without having heard the others", zap.Error(err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ledger.joined = true
	clear(s.ledger.news) // what it goes on from all are told of when they meet
}

// news holds one when something came; of nil it never does.
func (s *sharing) news() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.heard
}

// alive are the members that answer, this one in any case.
func (s *sharing) alive() map[string]string {
	alive := maps.Clone(s.members.Alive())
	if alive == nil {
		alive = map[string]string{}
	}
	alive[s.self] = s.site
	return alive
}

// tell sends the others what they do not know yet.
func (s *sharing) tell(own time.Time) {
	s.mu.Lock()
	messages := s.ledger.tell(own)
	s.mu.Unlock()
	for _, m := range messages {
		s.channel.Broadcast(m)
	}
}
