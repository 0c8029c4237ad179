package alerting

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/alertmanager/cluster"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/common/model"
	"go.uber.org/zap"
)

const (
	// readyPatience bounds how long the first notification waits for what the other gateways know.
	readyPatience = 30 * time.Second

	// gatewayLabel tells alerts apart that each gateway has of its own.
	gatewayLabel = "gateway"
)

// gossip is what alerting needs of the extension cluster, if there is one.
type gossip interface {
	// AddState has the other gateways know what this one knows, and the other way round. It is told of changes by the channel.
	AddState(key string, state cluster.State) cluster.ClusterChannel

	// Position is the place of this gateway among those that answer.
	Position() int

	// WaitReady returns when the others have told what they know, or none of them answers.
	WaitReady(ctx context.Context) error
}

// members says who is in the cluster.
type members interface {
	// Self is this gateway.
	Self() (name, site string)

	// Alive are the gateways that answer, this one included, and their sites.
	Alive() map[string]string
}

// peers are the gateways that have the same alerts; a nil one is a gateway that is alone.
type peers struct {
	gossip
	members
	timeout time.Duration // for each gateway before this one to tell, and to say that it has
}

// wait is how long the gateways before this one are given.
func (p *peers) wait() time.Duration {
	if p == nil {
		return 0
	}
	return time.Duration(p.Position()) * p.timeout
}

// atLeast is how long the notification of a group may be tried, as Alertmanager has it.
func (p *peers) atLeast(groupInterval time.Duration) time.Duration {
	return max(groupInterval, notify.MinTimeout) + p.wait()
}

// self is the name of this gateway among others; empty: it is alone.
func (p *peers) self() string {
	if p == nil {
		return ""
	}
	name, _ := p.Self()
	return name
}

// apart has alerts that each gateway has of its own in groups of their own. In one group with those of another gateway, each of both would
// take its own for news whenever the other one has told of its.
func (p *peers) apart(routes *dispatch.Route) {
	if p == nil {
		return
	}
	routes.Walk(func(r *dispatch.Route) {
		by := maps.Clone(r.RouteOpts.GroupBy)
		if by == nil {
			by = map[model.LabelName]struct{}{}
		}
		by[gatewayLabel] = struct{}{}
		r.RouteOpts.GroupBy = by
	})
}

// ready is closed when it is known what the other gateways have told. It implements notify.Peer.
type ready chan struct{}

// WaitReady implements notify.Peer.
func (r ready) WaitReady(ctx context.Context) error {
	select {
	case <-r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// catchUp makes known what alerting remembers, once the others have told what became of it.
func (a *alerting) catchUp(ctx context.Context, resolveTimeout time.Duration) {
	if a.peers != nil {
		waiting, cancel := context.WithTimeout(ctx, a.patience)
		err := a.peers.WaitReady(waiting)
		cancel()
		if ctx.Err() != nil {
			return // the gateway stops
		}
		if err != nil { // somebody is told twice rather than nobody
			a.log.Warn("notifications begin without what the other gateways know", zap.Error(err))
		}
	}
	a.report(a.state.intake.restore(ctx, resolveTimeout, a.state.told.over()))
	close(a.ready)
}

// shownPeers is the cluster as Alertmanager's API shows it.
type shownPeers struct {
	*peers
	ready ready
}

var _ cluster.ClusterPeer = shownPeers{}

// shown is nil where there is nobody to show.
func (a *alerting) shown() cluster.ClusterPeer {
	if a.peers == nil {
		return nil
	}
	return shownPeers{a.peers, a.ready}
}

// Name implements cluster.ClusterPeer.
func (s shownPeers) Name() string { return s.self() }

// Status implements cluster.ClusterPeer.
func (s shownPeers) Status() string {
	select {
	case <-s.ready:
		return "ready"
	default:
		return "settling"
	}
}

// Peers implements cluster.ClusterPeer.
func (s shownPeers) Peers() []cluster.ClusterMember {
	alive := s.Alive()
	all := make([]cluster.ClusterMember, 0, len(alive))
	for _, name := range slices.Sorted(maps.Keys(alive)) {
		all = append(all, member{name, alive[name]})
	}
	return all
}

// member is a gateway of the cluster.
type member struct{ name, site string }

// Name implements cluster.ClusterMember.
func (m member) Name() string { return m.name }

// Address implements cluster.ClusterMember. Where a gateway stands says more than where it listens.
func (m member) Address() string { return m.site }
