package envoy

import (
	"cmp"
	"net"
	"strconv"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/proto"
)

// tailLine is one entry as a tail shows it.
type tailLine struct {
	Time                time.Time         `json:"time"` // when it began
	Node                string            `json:"node"`
	LogName             string            `json:"log_name,omitempty"`
	Labels              map[string]string `json:"labels"` // those of the metrics
	Duration            float64           `json:"duration_ms"`
	RequestBytes        uint64            `json:"request_bytes"`
	ResponseBytes       uint64            `json:"response_bytes"`
	Method              string            `json:"method,omitempty"`
	Authority           string            `json:"authority,omitempty"`
	Path                string            `json:"path,omitempty"` // as it came in
	RequestID           string            `json:"request_id,omitempty"`
	DownstreamHost      string            `json:"downstream_host,omitempty"`
	UpstreamHost        string            `json:"upstream_host,omitempty"`
	UpstreamCluster     string            `json:"upstream_cluster,omitempty"`
	RouteName           string            `json:"route_name,omitempty"`
	ResponseCodeDetails string            `json:"response_code_details,omitempty"`
	UpstreamFailure     string            `json:"upstream_transport_failure_reason,omitempty"`
	Attempts            uint32            `json:"attempts,omitempty"` // to reach the upstream
	Error               string            `json:"error,omitempty"`    // why there is no more than the labels
}

// line decodes the entry.
func (e *tailed) line(gateway string) *tailLine {
	l := &tailLine{Node: e.node, LogName: e.logName, Labels: map[string]string{"gateway": gateway}}
	for _, label := range e.labels {
		if label.Value != "" {
			l.Labels[label.Name] = label.Value
		}
	}
	decode := proto.UnmarshalOptions{DiscardUnknown: true}
	if e.tcp {
		var entry accesslogdatav3.TCPAccessLogEntry
		if err := decode.Unmarshal(e.raw, &entry); err != nil {
			l.Error = err.Error()
			return l
		}
		l.common(entry.GetCommonProperties())
		l.RequestBytes, l.ResponseBytes = entry.GetConnectionProperties().GetReceivedBytes(), entry.GetConnectionProperties().GetSentBytes()
		return l
	}
	var entry accesslogdatav3.HTTPAccessLogEntry
	if err := decode.Unmarshal(e.raw, &entry); err != nil {
		l.Error = err.Error()
		return l
	}
	common, request := entry.GetCommonProperties(), entry.GetRequest()
	l.common(common)
	l.RequestBytes, l.ResponseBytes = common.GetDownstreamWireBytesReceived(), common.GetDownstreamWireBytesSent()
	if method := request.GetRequestMethod(); method != corev3.RequestMethod_METHOD_UNSPECIFIED {
		l.Method = method.String()
	}
	l.Authority, l.Path = request.GetAuthority(), cmp.Or(request.GetOriginalPath(), request.GetPath())
	l.RequestID = cmp.Or(request.GetRequestId(), l.RequestID)
	l.ResponseCodeDetails = entry.GetResponse().GetResponseCodeDetails()
	return l
}

func (l *tailLine) common(c *accesslogdatav3.AccessLogCommon) {
	l.Time = c.GetStartTime().AsTime()
	duration := c.GetDuration()
	if duration == nil {
		duration = c.GetTimeToLastDownstreamTxByte()
	}
	l.Duration = float64(duration.AsDuration()) / float64(time.Millisecond)
	l.RequestID = c.GetStreamId()
	l.DownstreamHost, l.UpstreamHost = hostPort(c.GetDownstreamRemoteAddress()), hostPort(c.GetUpstreamRemoteAddress())
	l.UpstreamCluster, l.RouteName = c.GetUpstreamCluster(), c.GetRouteName()
	l.UpstreamFailure, l.Attempts = c.GetUpstreamTransportFailureReason(), c.GetUpstreamRequestAttemptCount()
}

func hostPort(a *corev3.Address) string {
	if s := a.GetSocketAddress(); s != nil {
		return net.JoinHostPort(s.GetAddress(), strconv.FormatUint(uint64(s.GetPortValue()), 10))
	}
	return a.GetPipe().GetPath()
}
