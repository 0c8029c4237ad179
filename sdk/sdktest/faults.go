package sdktest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/sdk"
)

const (
	killAfterCalls = 64
	killAfter      = 2 * time.Second // at most
)

// checkDeadline has callers give up early. What the plugin still answers them must be retryable, and it serves on.
func checkDeadline(ctx context.Context, s *session) error {
	kind := s.kindOf()
	for limit := 50 * time.Microsecond; limit < 20*time.Millisecond; limit *= 2 {
		err := within(ctx, limit, func(ctx context.Context) error { return kind.one(ctx, s, s.life.conn) })
		if sdk.IsPermanent(err) {
			return fmt.Errorf("%s with a deadline of %v: %s, want OK or an error that is retryable: the next try may have more time", kind.call, limit, told(err))
		}
	}
	if err := healthy(ctx, s.life.conn); err != nil {
		return fmt.Errorf("after deadlines that passed: %w", err)
	}
	if err := deliver(ctx, func(ctx context.Context) error { return kind.one(ctx, s, s.life.conn) }); err != nil {
		return fmt.Errorf("%s after deadlines that passed: %s", kind.call, told(err))
	}
	return nil
}

// checkKill kills a process while it is called. No caller may hang or lose its request, and the next process works.
func checkKill(ctx context.Context, s *session) error {
	kind := s.kindOf()
	err := s.configured(ctx, func(p *plugin) error {
		if kind.hold == nil {
			return killBetween(ctx, s, kind, p)
		}
		holding, release := context.WithCancel(ctx)
		defer release()
		held := kind.hold(holding, s, p.conn)
		if err := p.process.kill(); err != nil {
			return err
		}
		if err := held(); err == nil || !retryable(err) {
			return fmt.Errorf("%s in a process that was killed: %s, want an error that is retryable", kind.call, told(err))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.configured(ctx, func(p *plugin) error {
		if err := deliver(ctx, func(ctx context.Context) error { return kind.one(ctx, s, p.conn) }); err != nil {
			return fmt.Errorf("%s in the process after one that was killed: %s", kind.call, told(err))
		}
		return nil
	})
}

// killBetween kills the process while several callers call it one time after the other.
func killBetween(ctx context.Context, s *session, kind kind, p *plugin) error {
	var killed atomic.Bool
	var answered atomic.Int64
	enough := make(chan struct{}, 1)
	called := make(chan error, 1)
	go func() {
		called <- together(callers, func() error {
			for {
				err := within(ctx, answerWithin, func(ctx context.Context) error { return kind.one(ctx, s, p.conn) })
				switch {
				case err != nil && (sdk.IsPermanent(err) || status.Code(err) == codes.DeadlineExceeded):
					return fmt.Errorf("%s in a process that was killed: %s, want an end with an error that is retryable", kind.call, told(err))
				case err != nil && killed.Load():
					return nil
				case err != nil:
					time.Sleep(10 * time.Millisecond) // a refusal of its own
				case answered.Add(1) == killAfterCalls:
					enough <- struct{}{}
				}
			}
		})
	}()
	timer := time.NewTimer(killAfter)
	defer timer.Stop()
	select {
	case <-enough:
	case <-timer.C:
	case err := <-called:
		return err
	}
	killed.Store(true)
	if err := p.process.kill(); err != nil {
		return errors.Join(err, <-called)
	}
	return <-called
}
