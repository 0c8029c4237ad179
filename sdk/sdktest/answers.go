package sdktest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// deliver makes a call until its answer is final, as the queues of the gateway do: an error that is retryable is an
// answer that every plugin may give, for a while. A call that is not answered at all is not repeated.
func deliver(ctx context.Context, call func(context.Context) error) error {
	return deliverWithin(ctx, answerWithin, call)
}

func deliverWithin(ctx context.Context, limit time.Duration, call func(context.Context) error) error {
	began := time.Now()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := within(ctx, limit, call)
		if err == nil || !retryable(err) {
			return err
		}
		pause := max(wait, retryAfter(err))
		if time.Since(began)+pause > settleWithin {
			refused := status.Convert(err)
			return status.Errorf(refused.Code(), "%s; not taken within %v, and the next try is due in %v", refused.Message(), settleWithin, pause)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// within makes a call with a deadline.
func within(ctx context.Context, limit time.Duration, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := call(ctx)
	if status.Code(err) == codes.DeadlineExceeded && ctx.Err() != nil {
		return status.Errorf(codes.DeadlineExceeded, "no answer within %v", limit)
	}
	return err
}

// retryable tells whether err is an answer that came in time and lets the gateway try again.
func retryable(err error) bool {
	_, answered := status.FromError(err)
	return answered && !sdk.IsPermanent(err) && status.Code(err) != codes.DeadlineExceeded
}

// retryAfter is how long the plugin asks to wait.
func retryAfter(err error) time.Duration {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return 0
}

// told is an answer as its author knows it: UNAVAILABLE "disk full".
func told(err error) string {
	if err == nil {
		return "OK"
	}
	s, ok := status.FromError(err)
	if !ok {
		return err.Error()
	}
	return fmt.Sprintf("%s %q", codeName(s.Code()), s.Message())
}

// codeName is the name that the wire's documents use: FAILED_PRECONDITION.
func codeName(code codes.Code) string {
	var name strings.Builder
	for i, r := range code.String() {
		if i > 0 && r >= 'A' && r <= 'Z' && code != codes.OK {
			name.WriteByte('_')
		}
		name.WriteRune(r)
	}
	return strings.ToUpper(name.String())
}
