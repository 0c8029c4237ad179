package probes

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// scheduler is the driver of all kinds that make one probe at a time: a goroutine for each target, and one for each probe under way.
type scheduler struct {
	ways    map[string]way  // by module
	report  func([]outcome) // called in the order in which the probes of a target end; it keeps nothing
	dropped func(*Target)   // a probe that was not made, as too many of the target are under way

	mu      sync.Mutex
	wanted  []*Target
	changed chan struct{}
}

// way is a module, ready to probe.
type way struct {
	probe   prober
	timeout time.Duration
}

func newScheduler(ways map[string]way, report func([]outcome), dropped func(*Target)) *scheduler {
	return &scheduler{ways: ways, report: report, dropped: dropped, changed: make(chan struct{}, 1)}
}

func (s *scheduler) set(targets []*Target) {
	s.mu.Lock()
	s.wanted = targets
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default: // run has not yet seen the last change, and will see this one with it
	}
}

func (s *scheduler) run(ctx context.Context) {
	running := map[*Target]context.CancelFunc{}
	var tasks sync.WaitGroup
	defer tasks.Wait()
	for {
		select {
		case <-ctx.Done():
			return // and so do the targets: their contexts are below ctx
		case <-s.changed:
		}
		s.mu.Lock()
		wanted := s.wanted
		s.mu.Unlock()
		keep := make(map[*Target]context.CancelFunc, len(wanted))
		for _, t := range wanted {
			if keep[t] = running[t]; keep[t] == nil {
				one, cancel := context.WithCancel(ctx)
				keep[t] = cancel
				tasks.Go(func() { s.watch(one, t) })
			}
			delete(running, t)
		}
		for _, cancel := range running {
			cancel()
		}
		running = keep
	}
}

// watch probes one target until ctx ends.
func (s *scheduler) watch(ctx context.Context, t *Target) {
	w := watch{scheduler: s, way: s.ways[t.Module], target: t}
	w.most = int((w.way.timeout+t.Interval-1)/t.Interval) + 1
	w.done = make(chan outcome, w.most)
	w.due = time.Now().Add(rand.N(t.Interval)) // so that the targets of a configuration do not all start at once
	timer := time.NewTimer(time.Until(w.due))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			for ; w.underWay > 0; w.underWay-- {
				<-w.done
			}
			return
		case <-timer.C:
			now := time.Now()
			behind := now.Sub(w.due) / t.Interval
			if behind == 0 { // else this process slept: what was missed is not made up for, lest all targets are probed at once
				w.start(ctx, false)
			}
			w.due = w.due.Add((behind + 1) * t.Interval)
			timer.Reset(w.due.Sub(now))
		case o := <-w.done:
			w.underWay--
			if ctx.Err() == nil {
				w.end(ctx, o)
			}
		}
	}
}

// watch is what its goroutine knows of a target.
type watch struct {
	scheduler *scheduler
	way       way
	target    *Target

	due      time.Time // of the next probe
	underWay int
	most     int // that may be under way
	down     bool
	done     chan outcome
}

func (w *watch) start(ctx context.Context, again bool) {
	if w.underWay == w.most {
		w.scheduler.dropped(w.target)
		return
	}
	w.underWay++
	go func() {
		o := outcome{target: w.target, at: time.Now(), again: again}
		one, cancel := context.WithTimeout(ctx, w.way.timeout)
		defer cancel()
		o.Result = w.way.probe(one, w.target)
		o.Took = time.Since(o.at)
		o.late = !o.OK && tardy(o.Took, w.way.timeout)
		w.done <- o
	}()
}

// end reports a probe. After a first failure another one is made at once, unless the next is about to come or under way.
func (w *watch) end(ctx context.Context, o outcome) {
	w.scheduler.report([]outcome{o})
	if o.late || o.Err != nil {
		return
	}
	first := !o.OK && !w.down
	w.down = !o.OK
	if first && w.underWay == 0 && time.Until(w.due) > w.target.Interval/4 {
		w.start(ctx, true)
	}
}
