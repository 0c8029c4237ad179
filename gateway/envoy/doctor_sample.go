package envoy

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/proto"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// Bounds of what the doctor looks at.
const (
	samplesPerNode = 20
	maxSamples     = 5000
)

// sampler is a watcher that keeps some entries of each node.
type sampler struct {
	mu      sync.Mutex
	perNode map[string]int
	copies  []sampleCopy
}

type sampleCopy struct {
	node string
	at   time.Time
	raw  []byte
}

// sample is what one HTTP entry tells the doctor.
type sample struct {
	node     string
	skew     time.Duration // end of the request before (+) or after (-) it arrived
	mayGRPC  bool          // it looks like gRPC, but nothing that is logged says so
	noStatus bool          // it is gRPC that was answered, and its status is not logged
}

func newSampler() *sampler { return &sampler{perNode: map[string]int{}} }

func (s *sampler) want(bool) bool { return true }

func (s *sampler) see(o *mesh.Observed) {
	if o.TCP {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.perNode[o.Node.ID] >= samplesPerNode || len(s.copies) >= maxSamples {
		return
	}
	s.perNode[o.Node.ID]++
	s.copies = append(s.copies, sampleCopy{node: o.Node.ID, at: time.Now(), raw: bytes.Clone(o.Raw)})
}

// all decodes the entries.
func (s *sampler) all() []sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	samples := make([]sample, 0, len(s.copies))
	looksGRPC := regexp.MustCompile(`^/[\w.]+/[A-Z]\w*$`)
	for _, c := range s.copies {
		var e accesslogdatav3.HTTPAccessLogEntry
		if proto.Unmarshal(c.raw, &e) != nil {
			continue // it is counted all the same
		}
		common, request, response := e.GetCommonProperties(), e.GetRequest(), e.GetResponse()
		duration := common.GetDuration()
		if duration == nil {
			duration = common.GetTimeToLastDownstreamTxByte()
		}
		one := sample{node: c.node, skew: c.at.Sub(common.GetStartTime().AsTime().Add(duration.AsDuration()))}
		_, inHeaders := response.GetResponseHeaders()["grpc-status"]
		_, inTrailers := response.GetResponseTrailers()["grpc-status"]
		content, told := request.GetRequestHeaders()["content-type"]
		switch status := inHeaders || inTrailers; {
		case status:
		case strings.HasPrefix(content, "application/grpc"):
			one.noStatus = response.GetResponseCode().GetValue() == http200
		case !told:
			one.mayGRPC = e.GetProtocolVersion() == accesslogdatav3.HTTPAccessLogEntry_HTTP2 &&
				request.GetRequestMethod() == corev3.RequestMethod_POST && looksGRPC.MatchString(request.GetPath())
		}
		samples = append(samples, one)
	}
	return samples
}

const http200 = 200
