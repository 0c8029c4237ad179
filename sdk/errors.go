package sdk

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Permanent marks err as one that a second try cannot cure, such as a request that cannot be decoded or a
// wrong configuration: the gateway drops the request and counts it. Permanent(nil) is nil.
func Permanent(err error) error {
	return mark(err, codes.InvalidArgument, 0)
}

// Retryable marks err as one that a later try may cure; after, if positive, is the earliest time for it.
// An error without a mark is retryable too. Retryable(nil, …) is nil.
func Retryable(err error, after time.Duration) error {
	return mark(err, codes.Unavailable, after)
}

func mark(err error, code codes.Code, after time.Duration) error {
	if err == nil {
		return nil
	}
	return &markedError{err: err, code: code, after: after}
}

// markedError carries a gRPC status beside the error that it wraps, so that wrapping it again keeps the mark.
type markedError struct {
	err   error
	code  codes.Code
	after time.Duration
}

func (e *markedError) Error() string { return e.err.Error() }
func (e *markedError) Unwrap() error { return e.err }

func (e *markedError) GRPCStatus() *status.Status {
	s := status.New(e.code, e.err.Error())
	if e.after <= 0 {
		return s
	}
	detailed, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(e.after)})
	if err != nil {
		return s
	}
	return detailed
}

// statusError is err as it crosses the wire: a status stays what it is, and what carries none is retryable,
// because a second try loses nothing.
func statusError(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err).Err()
	}
	return status.Error(codes.Unavailable, err.Error())
}

// IsPermanent tells whether a call that failed with err would fail again: its gRPC status is not one of those
// that OTLP allows to retry. It works on both sides of the wire.
func IsPermanent(err error) bool {
	if err == nil {
		return false
	}
	switch s := status.Convert(statusError(err)); s.Code() {
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
		return false
	case codes.ResourceExhausted:
		return !slices.ContainsFunc(s.Details(), func(detail any) bool {
			_, ok := detail.(*errdetails.RetryInfo)
			return ok
		})
	default:
		return true
	}
}
