package envoy

import (
	"cmp"
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/peer"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// senders are the nodes that have streams open.
type senders struct {
	mu    sync.Mutex
	nodes map[string]*senderNode // by id
}

// senderNode is one node id, which several Envoys share when they are set up wrongly.
type senderNode struct {
	app, version, idc string
	streams           map[*senderStream]struct{}
}

type senderStream struct {
	kind, host string
	since      time.Time
}

// open notes a stream of a node; the func that it returns must be called when the stream ends.
func (s *senders) open(ctx context.Context, kind string, n *mesh.Node, now time.Time) (closed func()) {
	stream := &senderStream{kind: kind, since: now}
	if p, ok := peer.FromContext(ctx); ok {
		stream.host, _, _ = net.SplitHostPort(p.Addr.String())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nodes == nil {
		s.nodes = map[string]*senderNode{}
	}
	node := s.nodes[n.ID]
	if node == nil {
		node = &senderNode{app: n.App(), version: n.Version(), idc: n.IDC, streams: map[*senderStream]struct{}{}}
		s.nodes[n.ID] = node
	}
	node.streams[stream] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if delete(node.streams, stream); len(node.streams) == 0 {
			delete(s.nodes, n.ID)
		}
	}
}

// nodeStatus is a node with open streams, as GET /api/v1/nodes and /api/v1/doctor show it.
type nodeStatus struct {
	ID      string   `json:"id"`
	App     string   `json:"app"`
	Version string   `json:"version"`
	IDC     string   `json:"idc"`
	ALS     int      `json:"als_streams"`
	Stats   int      `json:"stats_streams"`
	Entries uint64   `json:"entries"` // counted since the gateway began
	Hosts   []string `json:"hosts"`   // from where

	Coverage *float64 `json:"coverage,omitempty"` // share of its access logs that arrive; nil: it does not tell
	Thin     bool     `json:"thin,omitempty"`     // that is too little

	shared bool // it comes from several hosts at once
}

// sharedAfter is longer than a connection whose other end is gone lives on: keepalive ends it.
const sharedAfter = time.Minute

// status lists the nodes by id.
func (s *senders) status(now time.Time) []nodeStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]nodeStatus, 0, len(s.nodes))
	for id, node := range s.nodes {
		status := nodeStatus{ID: id, App: node.app, Version: node.version, IDC: node.idc, Hosts: []string{}}
		settled := map[string]struct{}{}
		for stream := range node.streams {
			if stream.kind == kindALS {
				status.ALS++
			} else {
				status.Stats++
			}
			if !slices.Contains(status.Hosts, stream.host) {
				status.Hosts = append(status.Hosts, stream.host)
			}
			if now.Sub(stream.since) >= sharedAfter {
				settled[stream.host] = struct{}{}
			}
		}
		slices.Sort(status.Hosts)
		status.shared = len(settled) > 1
		all = append(all, status)
	}
	slices.SortFunc(all, func(a, b nodeStatus) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
