package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
)

const (
	hundred   = 100
	subjects  = 1000
	perSecond = 10 // changes, all members together
)

// opinion is about as long as what a site thinks of a machine.
type opinion struct {
	Clock  int64  `json:"clock"`
	Origin string `json:"origin"`
	Until  string `json:"until"`
	Body   string `json:"body"`
}

// board is what three sites think of a thousand subjects. It tells of each change that comes.
type board struct {
	mu       sync.Mutex
	opinions map[string]opinion
	came     func(clock int64)
}

func newBoard(came func(int64)) *board {
	return &board{opinions: map[string]opinion{}, came: came}
}

// fill makes the board what all have agreed upon long ago.
func (b *board) fill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, site := range []string{"berlin", "tokyo", "outside"} {
		for i := range subjects {
			b.opinions[fmt.Sprintf("%s/machine/rack-%02d-node-%03d", site, i%40, i)] = say(site, int64(i))
		}
	}
}

func say(site string, clock int64) opinion {
	return opinion{clock, "gateway-" + site, "2026-11-22T10:00:00Z", fmt.Sprintf("healthy since 2026-11-21T10:00:%02dZ: 3 of 3 pings in %d.%d ms", clock%60, clock%7, clock%10)}
}

func (b *board) MarshalBinary() ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return json.Marshal(b.opinions)
}

func (b *board) Merge(data []byte) error {
	var opinions map[string]opinion
	if err := json.Unmarshal(data, &opinions); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, o := range opinions {
		if o.Clock > b.opinions[name].Clock {
			b.opinions[name] = o
			b.came(o.Clock)
		}
	}
	return nil
}

// progress is when changes were where.
type progress struct {
	mu    sync.Mutex
	began map[int64]time.Time
	at    map[int64]int
	took  map[int64]time.Duration
}

func (p *progress) came(clock int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at[clock]++; p.at[clock] == hundred-1 {
		p.took[clock] = time.Since(p.began[clock])
	}
}

// mesh100 are a hundred members that know one another.
func mesh100(t testing.TB) (members []*cluster, change func(), p *progress) {
	p = &progress{began: map[int64]time.Time{}, at: map[int64]int{}, took: map[int64]time.Duration{}}
	var boards []*board
	var channels []*channel
	var join []string
	n := &network{}
	t.Cleanup(func() {
		var all sync.WaitGroup
		for _, c := range members {
			all.Go(func() { require.NoError(t, c.Shutdown(context.Background())) })
		}
		all.Wait()
	})
	for i := range hundred {
		c := n.make(t, fmt.Sprintf("gateway-%03d", i), []string{"berlin", "tokyo", "outside"}[i%3], join, keyA)
		cut := c.adjust
		c.adjust = func(cfg *memberlist.Config) { // a busy machine does not run a hundred members every second
			cut(cfg)
			cfg.ProbeInterval, cfg.ProbeTimeout = 10*time.Second, 5*time.Second
		}
		b := newBoard(p.came)
		boards, channels = append(boards, b), append(channels, c.AddState("reg", b).(*channel))
		require.NoError(t, c.Start(t.Context(), hostWith{}))
		join = []string{c.transport.advertise.String()} // of the one before
		members = append(members, c)
		require.NoError(t, c.WaitReady(t.Context()))
	}
	began := time.Now()
	for _, c := range members {
		if len(c.alive()) < hundred {
			time.Sleep(100 * time.Millisecond) // gossip may lose something; do not wait for the push-pull of every minute and a half
			c.joiner.resync()
		}
	}
	eventually(t, "all know all", func() bool {
		return !slices.ContainsFunc(members, func(c *cluster) bool { return len(c.alive()) < hundred })
	})
	t.Logf("all knew all %v after the last start", time.Since(began))
	for _, b := range boards {
		b.fill()
	}
	clock := int64(subjects)
	return members, func() {
		clock++
		i := int(clock) % hundred
		name := fmt.Sprintf("%s/machine/rack-%02d-node-%03d", []string{"berlin", "tokyo", "outside"}[i%3], i%40, i)
		o := say("berlin", clock)
		b := boards[i]
		b.mu.Lock()
		b.opinions[name] = o
		b.mu.Unlock()
		encoded, _ := json.Marshal(map[string]opinion{name: o})
		p.mu.Lock()
		p.began[clock] = time.Now()
		p.mu.Unlock()
		channels[i].Broadcast(encoded)
	}, p
}

func (c *cluster) alive() map[string]string { return c.members.alive.Load().sites }

// gossip100 has changes made for a while, and tells how long each took to be everywhere and what each member sent and received in a second.
func gossip100(t testing.TB, lasts time.Duration) (took []time.Duration, bytes float64) {
	members, change, p := mesh100(t)
	traffic := func() (n int64) {
		for _, c := range members {
			n += c.transport.sent.Load() + c.transport.received.Load()
		}
		return n
	}
	before, began := traffic(), time.Now()
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	changes := 0
	for ; time.Since(began) < lasts; changes++ {
		change()
		<-tick.C
	}
	bytes = float64(traffic()-before) / time.Since(began).Seconds() / hundred
	require.Eventually(t, func() bool { // what packets lost comes with the push-pull of every minute and a half
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.took) == changes
	}, 5*time.Minute, 5*time.Millisecond, "each change is everywhere")
	return slices.Sorted(maps.Values(p.took)), bytes
}

// BenchmarkGossip100 is what a hundred members cost that tell one another of ten changes a second, in one process over loopback.
func BenchmarkGossip100(b *testing.B) {
	for b.Loop() {
		took, bytes := gossip100(b, 20*time.Second)
		b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "ms-median")
		b.ReportMetric(float64(took[len(took)-1].Milliseconds()), "ms-slowest")
		b.ReportMetric(bytes/1024, "KiB/s-per-member")
	}
}

// A hundred members, in one process: the bounds are far beyond what is seen, for a busy machine.
func TestGossip100(t *testing.T) {
	if testing.Short() {
		t.Skip("100 members take 10 s")
	}
	t.Parallel()
	took, bytes := gossip100(t, 3*time.Second)
	median, slowest := took[len(took)/2], took[len(took)-1]
	t.Logf("of %d changes the median was everywhere in %v, the slowest in %v; each member sent and received %.0f KiB/s", len(took), median, slowest, bytes/1024)
	require.Less(t, median, patience/6)
	require.Less(t, bytes, 100.0*1024)
}
