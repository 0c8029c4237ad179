package envoy

import (
	"cmp"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/proto"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

const (
	failuresShown = 20
	failureText   = 256 // bytes of each text that is shown of it
)

// failure is a failed request or connection of an edge, as it is shown. Texts are cut; of the path the query is left out.
type failure struct {
	Time         time.Time `json:"time"` // when it began
	Reporter     string    `json:"reporter"`
	Status       uint32    `json:"status"` // 0: none
	Flags        string    `json:"flags"`
	Details      string    `json:"details"`
	Method       string    `json:"method"`
	Path         string    `json:"path"`
	Authority    string    `json:"authority"`
	UserAgent    string    `json:"user_agent"`
	RequestID    string    `json:"request_id"`
	TraceID      string    `json:"trace_id"`
	Duration     float64   `json:"duration_ms"`
	UpstreamHost string    `json:"upstream_host"`
}

// failuresOf are the last failed requests of an edge, the newest first.
func (r *envoyReceiver) failuresOf(l *mesh.Link) []failure {
	shown := []failure{}
	for _, f := range r.aggregator.Failures(l) {
		if one, err := failureOf(&f); err == nil { // else the recorder, which decodes the same, has counted it
			shown = append(shown, one)
		}
	}
	slices.SortStableFunc(shown, func(x, y failure) int { return y.Time.Compare(x.Time) })
	return shown[:min(len(shown), failuresShown)]
}

func failureOf(f *mesh.Failure) (failure, error) {
	shown := failure{Reporter: f.Reporter, Flags: f.Flags.String()}
	if f.TCP {
		var entry accesslogdatav3.TCPAccessLogEntry
		err := proto.Unmarshal(f.Raw, &entry)
		shown.common(entry.GetCommonProperties())
		return shown, err
	}
	var entry accesslogdatav3.HTTPAccessLogEntry
	err := proto.Unmarshal(f.Raw, &entry)
	shown.common(entry.GetCommonProperties())
	request, response := entry.GetRequest(), entry.GetResponse()
	shown.Status = response.GetResponseCode().GetValue()
	if method := request.GetRequestMethod(); method != corev3.RequestMethod_METHOD_UNSPECIFIED {
		shown.Method = method.String()
	}
	path, _, _ := strings.Cut(cmp.Or(request.GetOriginalPath(), request.GetPath()), "?")
	for _, text := range []struct {
		to   *string
		from string
	}{
		{&shown.Details, cmp.Or(response.GetResponseCodeDetails(), shown.Details)},
		{&shown.Path, path},
		{&shown.Authority, request.GetAuthority()},
		{&shown.UserAgent, request.GetUserAgent()},
		{&shown.RequestID, cmp.Or(request.GetRequestId(), shown.RequestID)},
	} {
		*text.to = shorten(text.from, failureText)
	}
	if trace := readTraceContext(request.GetRequestHeaders()).trace; !trace.IsEmpty() {
		shown.TraceID = hex.EncodeToString(trace[:])
	}
	return shown, err
}

func (f *failure) common(c *accesslogdatav3.AccessLogCommon) {
	if start := c.GetStartTime(); start.CheckValid() == nil {
		f.Time = start.AsTime()
	}
	duration := c.GetDuration()
	if duration == nil {
		duration = c.GetTimeToLastDownstreamTxByte()
	}
	f.Duration = float64(duration.AsDuration().Microseconds()) / 1000
	f.Details = shorten(cmp.Or(c.GetConnectionTerminationDetails(), c.GetUpstreamTransportFailureReason()), failureText)
	f.RequestID = shorten(c.GetStreamId(), failureText)
	f.UpstreamHost = shorten(joinAddress(c.GetUpstreamRemoteAddress()), failureText)
}
