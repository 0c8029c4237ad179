package xds

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	clusterservicev3 "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	endpointservicev3 "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	serverv3 "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// LinearCache is the oracle: whatever changes, and whatever a client asks for, the client ends with the same resources from both.
func TestLikeLinearCache(t *testing.T) {
	for _, c := range []struct {
		kind     string
		delta    bool
		removals bool
	}{
		{"eds", true, true},
		{"cds", true, true},
		{"cds", false, true},
		{"eds", false, false}, // there the state of the world cannot tell of a removal; ours sends an empty assignment
	} {
		for seed := range uint64(25) {
			t.Run(fmt.Sprintf("%s delta %v seed %d", c.kind, c.delta, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ours, oracle := newFollower(t, c.kind, c.delta), newFollower(t, c.kind, c.delta)
					ours.set, oracle.set = ours.wire.set, oracle.linear(t)
					followAlike(t, rand.New(rand.NewPCG(seed, 0)), c.removals, ours, oracle)
				})
			})
		}
	}
}

// follower is a client that keeps what it was told.
type follower struct {
	wire  *wire
	kind  string
	names map[string]bool // "*" is one
	has   map[string]string
	set   func(string)
}

func newFollower(t *testing.T, kind string, delta bool) *follower {
	w := newWire(t, Options{})
	w.delta, w.separate = delta, true
	return &follower{wire: w, kind: kind, names: map[string]bool{}, has: map[string]string{}}
}

// linear has the follower follow a LinearCache, and returns what changes that.
func (f *follower) linear(t *testing.T) func(string) {
	cache := cachev3.NewLinearCache(typeURLs()[f.kind])
	server := serverv3.NewServer(t.Context(), cache, nil)
	f.wire.connect(func(to *grpc.Server) {
		endpointservicev3.RegisterEndpointDiscoveryServiceServer(to, server)
		clusterservicev3.RegisterClusterDiscoveryServiceServer(to, server)
	})
	return func(what string) {
		var gone []string
		changed := map[string]types.Resource{}
		for _, word := range strings.Fields(what)[1:] {
			if name, value, _ := strings.Cut(word, "="); value == "-" {
				gone = append(gone, name)
			} else {
				changed[name] = message(t, f.kind, name, value)
			}
		}
		require.NoError(t, cache.UpdateResources(changed, gone))
	}
}

// followAlike does the same at random to both.
func followAlike(t *testing.T, random *rand.Rand, removals bool, ours, oracle *follower) {
	all := []string{"a", "b", "c", "d", "e", "f"}
	var trace []string
	both := func(do func(*follower)) { do(ours); do(oracle) }
	both(func(f *follower) { f.ask([]string{"a", "b"}, nil) })
	for step := range 60 {
		what := fmt.Sprint("step ", step)
		switch pick := random.IntN(10); {
		case pick < 6:
			change := ours.kind
			for _, at := range random.Perm(len(all))[:1+random.IntN(3)] {
				value := fmt.Sprint(1 + random.IntN(3))
				if removals && random.IntN(3) == 0 {
					value = "-"
				}
				change += " " + all[at] + "=" + value
			}
			both(func(f *follower) { f.set(change) })
			what += " set " + change
		case pick < 9:
			more, less := []string{all[random.IntN(len(all))]}, []string{all[random.IntN(len(all))]}
			if more[0] == less[0] || len(ours.names) == 1 {
				less = nil // a client with no name left would ask for everything, to the oracle
			}
			both(func(f *follower) { f.ask(more, less) })
			what += fmt.Sprint(" ask ", more, less)
		default:
			both(func(f *follower) { f.wire.play("reconnect"); f.ask(slices.Sorted(maps.Keys(f.names)), nil) })
			what += " reconnect"
		}
		synctest.Wait()
		both((*follower).listen)
		trace = append(trace, what)
		require.Equal(t, oracle.has, ours.has, strings.Join(trace, "\n"))
	}
}

// ask subscribes to more and less.
func (f *follower) ask(more, less []string) {
	for _, name := range more {
		f.names[name] = true
	}
	for _, name := range less {
		delete(f.names, name)
		delete(f.has, name)
	}
	words := []string{f.kind}
	if !f.wire.delta {
		f.wire.stream(f.kind).ask(append(words, slices.Sorted(maps.Keys(f.names))...))
		return
	}
	for _, name := range more {
		words = append(words, "+"+name)
	}
	for _, name := range less {
		words = append(words, "-"+name)
	}
	if f.wire.stream(f.kind).first {
		for name, value := range f.has {
			words = append(words, "?"+name+"="+value)
		}
	}
	f.wire.stream(f.kind).ask(words)
}

// listen takes in what was heard.
func (f *follower) listen() {
	heard := f.wire.heard()
	if heard == "" {
		return
	}
	for response := range strings.SplitSeq(heard, "; ") {
		if !f.wire.delta && f.kind == "cds" {
			clear(f.has)
		}
		for _, word := range strings.Fields(response)[1:] {
			if name, gone := strings.CutPrefix(word, "-"); gone {
				delete(f.has, name)
			} else if name, value, _ := strings.Cut(word, "="); f.names[name] {
				f.has[name] = value
			}
		}
	}
}
