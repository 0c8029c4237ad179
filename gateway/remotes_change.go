package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

const changeTimeout = 30 * time.Second // for one of several gateways to do what it said it would

// alteration is a change of all gateways, or of none.
type alteration struct {
	method, path string
	query        url.Values
	body         any
	write        func(out io.Writer, done *changed)
	reverser
}

// reverser takes back what an alteration did, at one gateway.
type reverser interface {
	// look remembers what undo needs, before anything is changed.
	look(ctx context.Context, g *remote, would *changed) error
	// undo puts back what was. It may be that nothing was changed.
	undo(ctx context.Context, g *remote, would *changed) error
	// shows tells whether what another gateway of the cluster has done has come here.
	shows(ctx context.Context, g *remote, done *changed) bool
}

// send asks for the change. A dry one asks what it would do.
func (a *alteration) send(ctx context.Context, g *remote, dry bool) (*changed, error) {
	query := url.Values{}
	for name, values := range a.query {
		query[name] = values
	}
	if dry {
		query.Set("dry_run", "1")
	}
	done := &changed{}
	if err := g.change(ctx, a.method, a.path, query, a.body, done); err != nil {
		return nil, err
	}
	if a.path == shiftPath && done.Plan == nil {
		return nil, fmt.Errorf("the answer of %s is not what is asked for: it has no plan", g.url)
	}
	return done, nil
}

// change changes all gateways or none, and writes what was done. With --partial those that cannot be are left out.
func (g *remotes) change(cmd *cobra.Command, asJSON bool, a *alteration) error {
	gateways, err := g.all()
	if err != nil {
		return err
	}
	if len(gateways) == 1 {
		done, err := a.send(cmd.Context(), gateways[0], false)
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(done)
		}
		a.write(cmd.OutOrStdout(), done)
		done.warn(cmd.ErrOrStderr(), "")
		return nil
	}
	would, err := g.would(cmd.Context(), gateways, a)
	if err != nil {
		return err
	}
	done, err := a.do(cmd.Context(), would)
	if err != nil {
		return err
	}
	return a.report(cmd, done, asJSON)
}

// would asks every gateway whether it would make the change.
func (g *remotes) would(ctx context.Context, gateways []*remote, a *alteration) ([]said[*changed], error) {
	if len(gateways) > 1 {
		meet(ctx, gateways)
	}
	would := askAll(ctx, gateways, func(ctx context.Context, g *remote) (*changed, error) {
		c, err := a.send(ctx, g, true)
		if err != nil {
			return nil, err
		}
		return c, a.look(ctx, g, c)
	})
	var errs []error
	for i := range would {
		if would[i].err != nil {
			errs = append(errs, would[i].err)
		}
	}
	switch {
	case len(errs) == 0, g.partial && len(errs) < len(would):
		return would, nil
	case len(errs) == len(would):
		return nil, errors.Join(distinct(errs)...)
	}
	return nil, errors.Join(append(distinct(errs), fmt.Errorf("nothing was changed: %d of %d gateways would take it; --partial changes those", len(would)-len(errs), len(would)))...)
}

// do makes the change at those that would, one after the other; of a cluster at one. When one fails, it is taken back from all.
func (a *alteration) do(ctx context.Context, would []said[*changed]) (done []said[*changed], err error) {
	done = slices.Clone(would)
	all := parts(would)
	var tried []said[*changed]
	for _, part := range all {
		first := &done[part[0]]
		sending, cancel := context.WithTimeout(ctx, changeTimeout)
		answer, err := a.send(sending, first.remote, false)
		cancel()
		if !refuses(err) {
			tried = append(tried, *first)
		}
		if err != nil {
			return nil, errors.Join(err, a.takeBack(ctx, tried))
		}
		first.answer = answer
	}
	var waiting sync.WaitGroup
	for _, part := range all {
		for _, i := range part[1:] {
			waiting.Go(func() { done[i].answer, done[i].err = nil, a.await(ctx, done[i].remote, done[part[0]].answer) })
		}
	}
	waiting.Wait()
	return done, nil
}

// takeBack says what came of it.
func (a *alteration) takeBack(ctx context.Context, tried []said[*changed]) error {
	if len(tried) == 0 {
		return errors.New("nothing was changed")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTimeout) // whoever interrupts it wants no half of it
	defer cancel()
	var undone []string
	var errs []error
	for _, t := range tried {
		if err := a.undo(ctx, t.remote, t.answer); err != nil {
			errs = append(errs, fmt.Errorf("%s: it may have been changed, and that could not be undone: %w", t.label(), err))
		} else {
			undone = append(undone, t.label())
		}
	}
	if len(undone) > 0 {
		errs = append(errs, fmt.Errorf("undone: all is as before on %s", strings.Join(undone, ", ")))
	}
	return errors.Join(errs...)
}

// lateError is that a gateway of a cluster has not been told.
type lateError struct{ error }

// await waits until a gateway shows what another one of its cluster has done.
func (a *alteration) await(ctx context.Context, g *remote, done *changed) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for !a.shows(ctx, g, done) {
		select {
		case <-ctx.Done():
			return lateError{fmt.Errorf("%s, of its cluster, does not show it after %s: `lockkeeper failover list` tells who disagrees", g.label(), settleTime)}
		case <-time.After(settleLook):
		}
	}
	return nil
}

// parts divides those that would change by their clusters.
func parts(would []said[*changed]) (parts [][]int) {
	for i := range would {
		if would[i].err != nil {
			continue
		}
		same := slices.IndexFunc(parts, func(part []int) bool { return would[part[0]].hears(would[i].remote) })
		if same < 0 {
			parts = append(parts, []int{i})
		} else {
			parts[same] = append(parts[same], i)
		}
	}
	return parts
}
