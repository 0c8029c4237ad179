package storage

import (
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// classify gives a plugin's answer the meaning that OTLP gives it: tried again, tried again after the time that the plugin
// asks for, or never. https://opentelemetry.io/docs/specs/otlp/#failures
func classify(err error) error {
	if err == nil {
		return nil
	}
	answer := status.Convert(err)
	var wait *errdetails.RetryInfo
	for _, detail := range answer.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			wait = info
		}
	}
	switch answer.Code() {
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
	case codes.ResourceExhausted:
		if wait == nil {
			return permanent(err)
		}
	default:
		return permanent(err)
	}
	if delay := wait.GetRetryDelay().AsDuration(); delay > 0 {
		return exporterhelper.NewThrottleRetry(err, delay)
	}
	return err
}

func permanent(err error) error {
	return consumererror.NewPermanent(err)
}
