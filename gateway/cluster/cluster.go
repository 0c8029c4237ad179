// Package cluster is what several gateways know of one another: who answers, at which site, and the states that other parts of the gateway
// share. It finds the members and keeps them, carries each change of a state to all of them and the whole of it to who comes, and merges
// nothing itself: what a state means only its owner knows. It decides nothing, and no member leads.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
	amcluster "github.com/prometheus/alertmanager/cluster"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

const (
	gossipEvery = 100 * time.Millisecond
	gossipTo    = 5                // members at each turn
	retransmits = 4                // of a message: so many times the decimal logarithm of the number of members, rounded up
	pushPull    = 30 * time.Second // with one member; less often with more than 32
	streamTime  = 10 * time.Second
	leaveTime   = 500 * time.Millisecond
	reclaim     = time.Second // after which one that is lost may come back at another address
)

// cluster is the extension `cluster`.
type cluster struct {
	cfg *Config
	set component.TelemetrySettings
	now func() time.Time

	tally    *tally
	members  *members
	exchange *exchange
	joiner   *joiner
	adjust   func(*memberlist.Config) // for tests

	transport *transport
	list      *memberlist.Memberlist
	observed  metric.Registration
	started   time.Time

	cancel  context.CancelFunc
	running sync.WaitGroup
	end     func() error // once
}

func newCluster(cfg *Config, version string, set component.TelemetrySettings) (*cluster, error) {
	c := &cluster{cfg: cfg, set: set, now: time.Now, tally: newTally()}
	c.members = newMembers(cfg.Name, cfg.Site, c.tally.refuse, c.now)
	c.exchange = newExchange(c.members, c.tally, meta{Site: cfg.Site, Version: version})
	c.joiner = newJoiner(cfg.Join, c.members, func(address string, err error) {
		set.Logger.Warn("a member cannot be joined; it is tried again for ever (have both the same keys, and the same time?)", zap.String("address", address), zap.Error(err))
	})
	c.end = sync.OnceValue(c.shutdown)
	return c, nil
}

// AddState has a state shared under a key. It may be called before Start and after: then the members are asked for what they know of it.
// What is broadcast before Start is dropped, as the first exchange tells the whole. A state is called by several goroutines.
func (c *cluster) AddState(key string, state amcluster.State) amcluster.ClusterChannel {
	c.exchange.add(key, state)
	c.joiner.resync()
	return &channel{key: key, exchange: c.exchange}
}

// Self is this gateway's name, and its site.
func (c *cluster) Self() (name, site string) { return c.cfg.Name, c.cfg.Site }

// Alive are the members that answer now, this one included: the site of each by its name. A member that dies is here for some five seconds
// more; with many members for some more.
func (c *cluster) Alive() map[string]string { return maps.Clone(c.members.alive.Load().sites) }

// WatchMembers calls changed, which returns quickly, after members came or went, until stop is called.
func (c *cluster) WatchMembers(changed func()) (stop func()) { return c.members.watch(changed) }

// Position is this gateway's place among the sorted names of those that answer, from 0.
func (c *cluster) Position() int { return c.members.alive.Load().position }

// WaitReady waits until the states that were added are exchanged with the members: with all of them, or with one and a moment longer, or
// until it is known that there is nobody, for at most five seconds. The error is the context's.
func (c *cluster) WaitReady(ctx context.Context) error { return c.joiner.waitReady(ctx) }

// mux is what the cluster needs of the console.
type mux interface {
	Handle(pattern string, handler http.Handler)
}

// Start listens, and looks for the other members. It does not wait for them.
func (c *cluster) Start(ctx context.Context, host component.Host) error {
	if err := c.start(ctx, host); err != nil {
		return errors.Join(err, c.Shutdown(ctx))
	}
	return nil
}

func (c *cluster) start(ctx context.Context, host component.Host) error {
	if err := c.listen(ctx); err != nil {
		return err
	}
	cfg := c.memberlistConfig()
	if c.adjust != nil {
		c.adjust(cfg)
	}
	list, err := memberlist.Create(cfg)
	if err != nil {
		return err
	}
	c.list, c.joiner.self, c.started = list, c.transport.advertise, c.now()
	c.joiner.pull = func(address string) error {
		_, err := list.Join([]string{address})
		if first := errors.Unwrap(err); first != nil { // the list of one, over several lines
			err = first
		}
		return err
	}
	c.exchange.large.pull = func(_ context.Context, to member) error { return c.joiner.pull(to.Address.String()) }
	c.exchange.large.deliver = func(to member, msg []byte) error {
		node := &memberlist.Node{Name: to.Name, Addr: to.Address.Addr().AsSlice(), Port: to.Address.Port()}
		return list.SendReliable(node, msg)
	}
	if c.observed, err = c.observe(c.set.MeterProvider); err != nil {
		return err
	}
	for _, extension := range host.GetExtensions() {
		if m, ok := extension.(mux); ok {
			m.Handle("GET /api/v1/cluster", http.HandlerFunc(c.show))
		}
	}
	running, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.exchange.running.Store(true)
	c.running.Go(func() { c.joiner.run(running) })
	c.running.Go(func() { c.members.tell(running.Done()) })
	return nil
}

// listen binds the endpoint.
func (c *cluster) listen(ctx context.Context) error {
	keys, err := c.cfg.keys()
	if err != nil {
		return err
	}
	sealer, err := newSealer(keys)
	if err != nil {
		return err
	}
	at, err := lookUpOne(ctx, c.cfg.Endpoint)
	if err != nil {
		return fmt.Errorf("cluster::endpoint %q: %w", c.cfg.Endpoint, err)
	}
	var advertise netip.AddrPort
	if c.cfg.Advertise != "" {
		if advertise, err = lookUpOne(ctx, c.cfg.Advertise); err != nil {
			return fmt.Errorf("cluster::advertise %q: %w", c.cfg.Advertise, err)
		}
	}
	c.transport, err = listen(at, advertise, sealer, c.tally.refuse)
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w: end what listens there, or set another endpoint", err)
	}
	if err != nil {
		return fmt.Errorf("cluster::endpoint %q: %w", c.cfg.Endpoint, err)
	}
	return nil
}

func (c *cluster) memberlistConfig() *memberlist.Config {
	cfg := memberlist.DefaultLANConfig() // a member is asked each second, has half a second to answer, and 4 s to object to be dead
	cfg.Name = c.cfg.Name
	cfg.Transport = c.transport
	cfg.Delegate = c.exchange
	cfg.Events, cfg.Alive, cfg.Conflict, cfg.Ping = c.members, c.members, c.members, c.members
	cfg.Logger = log.New(io.Discard, "", 0) // what matters is counted, and told by alerts
	cfg.UDPBufferSize = maxPacket - packetOverhead - checksumSize
	cfg.EnableCompression = false // of packets: costs more than it saves; states are compressed here
	cfg.GossipInterval, cfg.GossipNodes, cfg.RetransmitMult = gossipEvery, gossipTo, retransmits
	cfg.PushPullInterval, cfg.TCPTimeout = pushPull, streamTime
	cfg.DeadNodeReclaimTime = reclaim
	cfg.HandoffQueueDepth = maxQueued
	return cfg
}

// Shutdown tells the others that this gateway goes, so that they do not take it for lost, and closes the port.
func (c *cluster) Shutdown(context.Context) error { return c.end() }

func (c *cluster) shutdown() (err error) {
	if c.observed != nil {
		err = c.observed.Unregister()
	}
	c.exchange.stop()
	if c.cancel != nil {
		c.cancel()
	}
	if c.list != nil {
		c.exchange.leaving.Store(true)
		_ = c.list.UpdateNode(leaveTime) // nobody may be there to hear either
		_ = c.list.Leave(leaveTime)
		err = errors.Join(err, c.list.Shutdown())
	} else if c.transport != nil {
		err = errors.Join(err, c.transport.Shutdown())
	}
	c.exchange.large.stop()
	c.running.Wait()
	return err
}
