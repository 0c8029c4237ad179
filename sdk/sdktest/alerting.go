package sdktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/sdk"
	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

const (
	alertWithin = 10 * time.Second // a rule that fires at all has fired by then, or is not waited for
	quiet       = time.Second      // a stream that has not failed by then goes on
)

func alerting() kind {
	return kind{call: "Start", one: startOne, hold: startAndHold, checks: []check{
		{name: "alerts", run: checkAlerts},
		{name: "a caller that goes away", run: checkStartCancelled},
		{name: "a second Start ends the first", run: checkSecondStart},
		{name: "a source that is down", run: badSource(closedPort)},
		{name: "a source that answers nonsense", run: badSource(func(s *session) (string, error) {
			url, err := s.sourceURL()
			return url + "/nonsense", err
		})},
	}}
}

// stream is an Alerting.Start under way.
type stream struct {
	first chan *pluginv1.Alerts // has the first message with an alert
	ended chan error            // has what it ended with: nil when the plugin ended it without an error
}

// start begins a Start that ends with ctx.
func (s *session) start(ctx context.Context, conn grpc.ClientConnInterface, queryURL string) *stream {
	out := &stream{first: make(chan *pluginv1.Alerts, 1), ended: make(chan error, 1)}
	client, err := pluginv1.NewAlertingClient(conn).Start(ctx, &pluginv1.StartRequest{QueryUrl: queryURL, RemoteWriteUrl: queryURL + "/api/v1/write"})
	if err != nil {
		out.ended <- err
		return out
	}
	go func() {
		for {
			alerts, err := client.Recv()
			if errors.Is(err, io.EOF) {
				err = nil
			}
			if err != nil || alerts == nil {
				out.ended <- err
				return
			}
			if len(alerts.GetAlerts()) > 0 && len(out.first) == 0 {
				out.first <- alerts
			}
		}
	}()
	return out
}

// works waits until the stream has alerts, or goes on if the rules don't fire.
func (o *stream) works(ctx context.Context, fires bool) error {
	limit := quiet
	if fires {
		limit = alertWithin
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-o.first:
		return nil
	case err := <-o.ended:
		if err == nil {
			return status.Error(codes.Unavailable, "the plugin ended the stream")
		}
		return err
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	case <-timer.C:
	}
	if fires {
		return fmt.Errorf("no alerts within %v, where there were some before", alertWithin)
	}
	return nil
}

// wait waits for the end of the stream.
func (o *stream) wait() error {
	timer := time.NewTimer(stopWithin)
	defer timer.Stop()
	select {
	case err := <-o.ended:
		return err
	case <-timer.C:
		return status.Errorf(codes.DeadlineExceeded, "still there %v later", stopWithin)
	}
}

// startOne begins a Start, sees it work and ends it.
func startOne(ctx context.Context, s *session, conn grpc.ClientConnInterface) error {
	url, err := s.sourceURL()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return s.start(ctx, conn, url).works(ctx, s.fires)
}

// startAndHold begins a Start that works.
func startAndHold(ctx context.Context, s *session, conn grpc.ClientConnInterface) (wait func() error) {
	url, err := s.sourceURL()
	if err != nil {
		return func() error { return err }
	}
	held := s.start(ctx, conn, url)
	if err := held.works(ctx, s.fires); err != nil {
		return func() error { return err }
	}
	return held.wait
}

// checkAlerts looks at the first alerts, if there are any.
func checkAlerts(ctx context.Context, s *session) error {
	url, err := s.sourceURL()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, alertWithin)
	defer cancel()
	begun := s.start(ctx, s.life.conn, url)
	var alerts *pluginv1.Alerts
	select {
	case alerts = <-begun.first:
	case err := <-begun.ended:
		if ctx.Err() == nil {
			return fmt.Errorf("the stream ended with %s, want one that lasts until its caller ends it", told(err))
		}
	}
	if alerts == nil {
		return skipped(fmt.Sprintf("no alert within %v: give the plugin rules that fire on any sample, of value 1, to have its alerts checked", alertWithin))
	}
	s.fires = true
	var wrong []error
	for _, alert := range alerts.GetAlerts() {
		if alert.GetLabels()["alertname"] == "" {
			wrong = append(wrong, fmt.Errorf("the alert %v has no label alertname, by which people know it", alert.GetLabels()))
		}
		switch starts := alert.GetStartsAt(); {
		case starts == nil || !starts.IsValid():
			wrong = append(wrong, fmt.Errorf("the alert %v has no starts_at", alert.GetLabels()))
		case time.Until(starts.AsTime()) > time.Minute:
			wrong = append(wrong, fmt.Errorf("the alert %v starts in the future, at %v", alert.GetLabels(), starts.AsTime()))
		case alert.GetEndsAt() != nil && alert.GetEndsAt().AsTime().Before(starts.AsTime()):
			wrong = append(wrong, fmt.Errorf("the alert %v ends before it starts", alert.GetLabels()))
		}
	}
	return errors.Join(wrong...)
}

// checkStartCancelled ends the call from the caller's side, as a gateway that reloads does, and begins it anew. Nothing is
// asked of the source in the end.
func checkStartCancelled(ctx context.Context, s *session) error {
	for range 3 {
		if err := within(ctx, 2*alertWithin, func(ctx context.Context) error { return startOne(ctx, s, s.life.conn) }); err != nil {
			return fmt.Errorf("a Start after one whose caller went away: %s", told(err))
		}
	}
	for began := time.Now(); ; {
		asked := s.source.asked.Load()
		time.Sleep(quiet)
		if s.source.asked.Load() == asked {
			return healthy(ctx, s.life.conn)
		}
		if time.Since(began) > stopWithin {
			return fmt.Errorf("its rules are still evaluated %v after the caller went away", stopWithin)
		}
	}
}

func checkSecondStart(ctx context.Context, s *session) error {
	url, err := s.sourceURL()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first := s.start(ctx, s.life.conn, url)
	if err := first.works(ctx, s.fires); err != nil {
		return fmt.Errorf("the first: %s", told(err))
	}
	second := s.start(ctx, s.life.conn, url)
	if err := first.wait(); err != nil && !retryable(err) {
		return fmt.Errorf("the first one, after the second has begun: %s, want its end, without an error or with one that is retryable", told(err))
	}
	if err := second.works(ctx, s.fires); err != nil {
		return fmt.Errorf("the second: %s", told(err))
	}
	return nil
}

// badSource has the rules evaluated on what cannot answer: the plugin may end the call, with an error that is retryable,
// or go on trying. It may say that it is not healthy.
func badSource(url func(*session) (string, error)) func(context.Context, *session) error {
	return func(ctx context.Context, s *session) error {
		bad, err := url(s)
		if err != nil {
			return err
		}
		calling, cancel := context.WithCancel(ctx)
		defer cancel()
		if err := s.start(calling, s.life.conn, bad).works(calling, false); sdk.IsPermanent(err) {
			return fmt.Errorf("it answered Start with %s, want a stream that lasts, or an error that is retryable: the source may come back", told(err))
		}
		err = within(ctx, answerWithin, func(ctx context.Context) error {
			_, err := pluginv1.NewPluginClient(s.life.conn).Health(ctx, new(pluginv1.HealthRequest))
			return err
		})
		if err != nil && !retryable(err) {
			return fmt.Errorf("meanwhile Health is %s, want OK or UNAVAILABLE", told(err))
		}
		if err := deliver(ctx, func(ctx context.Context) error { return startOne(ctx, s, s.life.conn) }); err != nil {
			return fmt.Errorf("a Start after that, with a source that answers: %s", told(err))
		}
		return healthy(ctx, s.life.conn)
	}
}

// closedPort is the URL of a source that is not there.
func closedPort(*session) (string, error) {
	address, err := freePort()
	return "http://" + address, err
}
