package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

const (
	lookTimeout = 5 * time.Second        // for one of several gateways to say something
	settleTime  = 2 * time.Second        // in which gateways that hear of one another come to the same
	settleLook  = 200 * time.Millisecond // how often they are asked meanwhile
)

// severalGateways tells of them in the help of what changes something.
const severalGateways = `With several gateways (--url once more for each, or LOCKKEEPER_URL=URL,URL) all are changed or none: each is asked first whether it would do it, and
when one fails it is undone on the others. Of those that are in one cluster one is told, and tells the others.`

// remotes are the running gateways that a command asks. Several are to say the same, and to change together or not at all.
type remotes struct {
	urls    []string
	access  remote // all but the URL
	partial bool
}

func (g *remotes) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&g.urls, "url", defaultURLs(), "`URL` of a gateway's console; once more for each other gateway; LOCKKEEPER_URL sets other defaults, with commas between")
	g.access.addAccessFlags(cmd)
}

// addChangeFlags are those of a command that changes something.
func (g *remotes) addChangeFlags(cmd *cobra.Command) {
	g.addFlags(cmd)
	cmd.Flags().BoolVar(&g.partial, "partial", false, "of several gateways change those that can be, without the others")
}

// all are the gateways, in the order of their URLs.
func (g *remotes) all() (all []*remote, err error) {
	for _, url := range g.urls {
		one := g.access
		one.url = strings.TrimSpace(url)
		if slices.ContainsFunc(all, func(other *remote) bool { return strings.TrimRight(other.url, "/") == strings.TrimRight(one.url, "/") }) {
			return nil, usageError{fmt.Errorf("--url: %s is there twice", one.url)}
		}
		all = append(all, &one)
	}
	if len(all) == 0 {
		return nil, usageError{errors.New("--url: missing: such as http://localhost:7070")}
	}
	return all, nil
}

// said is what one gateway answered.
type said[T any] struct {
	*remote
	answer          T
	err             error
	asked, answered time.Time // by the clock of this machine
}

// askAll asks all gateways at once. What they say has their order.
func askAll[T any](ctx context.Context, gateways []*remote, ask func(context.Context, *remote) (T, error)) []said[T] {
	return askWithin(ctx, lookTimeout, gateways, ask)
}

func askWithin[T any](ctx context.Context, timeout time.Duration, gateways []*remote, ask func(context.Context, *remote) (T, error)) []said[T] {
	all := make([]said[T], len(gateways))
	var asked sync.WaitGroup
	for i, g := range gateways {
		asked.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			all[i].remote, all[i].asked = g, time.Now()
			all[i].answer, all[i].err = ask(ctx, g)
			all[i].answered = time.Now()
		})
	}
	asked.Wait()
	return all
}

// meet asks all gateways of their clusters.
func meet(ctx context.Context, gateways []*remote) {
	for _, s := range askAll(ctx, gateways, func(ctx context.Context, g *remote) (c clusterState, err error) {
		_, err = g.read(ctx, clusterPath, nil, &c)
		return c, err
	}) {
		s.cluster = s.answer // with an error nothing: it has none, or does not answer, which what is asked next tells
	}
}

// label names a gateway for people: by its name in its cluster, if it has one.
func (g *remote) label() string {
	where := g.url
	if base, err := url.Parse(g.url); err == nil && base.Host != "" {
		where = base.Host
	}
	if g.cluster.Name == "" {
		return where
	}
	return fmt.Sprintf("%s (%s)", printable(g.cluster.Name), where)
}

// hears tells whether a gateway is told what another one is, and the other what it is: they answer each other in a cluster.
func (g *remote) hears(other *remote) bool {
	return g.cluster.Name != "" && g.cluster.Name != other.cluster.Name && g.cluster.answers(other.cluster) && other.cluster.answers(g.cluster)
}
