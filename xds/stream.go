package xds

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What one stream may ask for.
const (
	maxNames       = 100_000  // subscribed to, or owed, over all types; also versions it says it knows
	maxNameBytes   = 32 << 20 // of them together
	maxTypes       = 64
	maxTypeURL     = 1 << 10
	requestRate    = 1_000 // a second; more are read later
	requestsAtOnce = 5_000

	// What counts as another request.
	bytesPerRequest     = 4 << 10
	resourcesPerRequest = 64 // of everything, which is asked for
)

// stream is one client's stream. One goroutine reads its requests; another, the RPC's own, sends what it is owed.
type stream struct {
	server *Server
	grpc   grpc.ServerStream
	delta  bool
	only   string        // the one type of a separate service; empty: aggregated
	wake   chan struct{} // holds one
	seen   atomic.Uint64 // the Update up to which it was told

	mu            sync.Mutex
	node          string
	subscriptions []*subscription // in ADS's order
	nonces        uint64
}

func (st *stream) awake() {
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

// run serves the stream until the client ends it, asks for something it must not, or the server closes.
func (st *stream) run() error {
	c := st.server.cache
	c.open(st)
	defer c.close(st)
	ended := make(chan error, 1)
	go func() { ended <- st.server.guarded(st.receive) }() // ends with the RPC, at the latest when run has returned
	for {
		select {
		case err := <-ended:
			return err
		case <-st.server.closed:
			return status.Error(codes.Unavailable, "the gateway shuts down")
		case <-st.wake:
		}
		for _, r := range st.turn() {
			if err := st.grpc.SendMsg(r); err != nil {
				return err
			}
			st.server.pushed(r)
		}
	}
}

// receive reads requests until there are none.
func (st *stream) receive() error {
	limit := rate.NewLimiter(requestRate, requestsAtOnce)
	r := request{delta: st.delta}
	for first := true; ; first = false {
		if err := st.grpc.RecvMsg(&r); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(st.grpc.Context().Err(), context.Canceled) {
				return nil
			}
			return err
		}
		reason, err := st.apply(&r, first)
		if err != nil {
			st.server.refuse(reason)
			return err
		}
		if weight := min(st.weight(&r), requestsAtOnce); !limit.AllowN(time.Now(), weight) {
			st.server.throttled.Add(1)
			if err := limit.WaitN(st.grpc.Context(), weight); err != nil {
				return nil
			}
		}
	}
}

// weight is how many requests a request counts as, by the work that it makes.
func (st *stream) weight(r *request) int {
	weight := 1 + r.size/bytesPerRequest
	if r.everything {
		weight += st.server.cache.count(cmp.Or(r.typeURL, st.only)) / resourcesPerRequest
	}
	return weight
}

// apply takes a request into the stream's subscriptions, or tells why it must not.
func (st *stream) apply(r *request, first bool) (reason int, err error) {
	switch {
	case r.malformed != nil:
		return refusedMalformed, status.Error(codes.InvalidArgument, r.malformed.Error())
	case first && !r.hasNode:
		return refusedNode, status.Error(codes.InvalidArgument, "the first request of a stream has no node: set node.id in the client's bootstrap")
	case r.typeURL == "" && st.only == "":
		return refusedType, status.Error(codes.InvalidArgument, "a request of an aggregated stream has no type_url")
	case len(r.typeURL) > maxTypeURL:
		return refusedType, status.Errorf(codes.InvalidArgument, "type_url has %d bytes, may have %d", len(r.typeURL), maxTypeURL)
	case st.only != "" && r.typeURL != "" && r.typeURL != st.only:
		return refusedType, status.Errorf(codes.InvalidArgument, "type_url is %q: this service has %q only; use the aggregated service for the others", r.typeURL, st.only)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if first {
		st.node = clip(r.node)
	}
	s, fresh := st.subscription(cmp.Or(r.typeURL, st.only))
	if r.refused {
		st.server.nack(st, s, r.why)
	}
	if st.delta {
		s.applyDelta(r, fresh)
	} else if !s.applyState(r, fresh) {
		st.server.stale.Add(1)
	}
	if names, bytes := st.keeps(); names > maxNames || bytes > maxNameBytes || len(r.known) > maxNames || len(st.subscriptions) > maxTypes {
		return refusedNames, status.Errorf(codes.ResourceExhausted, "a stream may subscribe to %d names, of %d MiB together, of %d types: subscribe to \"*\" instead",
			maxNames, maxNameBytes>>20, maxTypes)
	}
	if r.everything = s.all; !s.quiet() {
		st.awake()
	}
	return 0, nil
}

// keeps is how many names, and bytes of them, the stream makes the server keep.
func (st *stream) keeps() (names, bytes int) {
	for _, s := range st.subscriptions {
		names += max(len(s.names), len(s.owed))
		bytes += s.named + s.pending
	}
	return names, bytes
}

// subscription finds the one of a type, or makes it in its place.
func (st *stream) subscription(typeURL string) (s *subscription, fresh bool) {
	place := len(st.subscriptions)
	for i, s := range st.subscriptions {
		if s.typeURL == typeURL {
			return s, false
		}
		if place == len(st.subscriptions) && order(typeURL) < order(s.typeURL) {
			place = i
		}
	}
	s = newSubscription(typeURL)
	st.subscriptions = slices.Insert(st.subscriptions, place, s)
	return s, true
}

// order is ADS's: what is named comes before what names it.
func order(typeURL string) int {
	switch typeURL {
	case ClusterType:
		return 0
	case AssignmentType:
		return 1
	case ListenerType:
		return 2
	case RouteType:
		return 3
	}
	return 4
}

// turn returns the responses to send now: what is owed, and what changed since the last turn.
func (st *stream) turn() (all []*response) {
	st.mu.Lock()
	defer st.mu.Unlock()
	c := st.server.cache
	c.mu.RLock()
	defer c.mu.RUnlock()
	p := c.since(st.seen.Load())
	st.seen.Store(c.number)
	var later []*response
	for _, s := range st.subscriptions {
		var b *batch
		if p != nil {
			b = p.batches[s.typeURL]
		}
		responses := s.stateResponses
		if st.delta {
			responses = s.deltaResponses
		}
		for i, pieces := range responses(c, p, b) {
			if pieces == nil {
				continue
			}
			st.nonces++
			s.nonce, s.version = strconv.FormatUint(st.nonces, 10), c.version(s.typeURL)
			r := &response{pieces: withNonce(pieces, s.nonce), typeURL: s.typeURL}
			if b != nil {
				r.changed = p.at
			}
			if i == 0 {
				all = append(all, r)
			} else {
				later = append(later, r)
			}
		}
	}
	slices.Reverse(later)
	return append(all, later...)
}
