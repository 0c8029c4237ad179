package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// floodRSS is the bound that the README of gateway/envoy states: MiB of the gateway's process at its peak.
const floodRSS = 512

const floodHost, floodAddress = "0123456789abcdef.example.com", "203.113.113.113"

// floodMessage has 50 entries of requests for floodHost from floodAddress, which no cluster, route or node is behind.
func floodMessage(t *testing.T) []byte {
	t.Helper()
	entry := &accesslogdatav3.HTTPAccessLogEntry{
		CommonProperties: &accesslogdatav3.AccessLogCommon{
			AccessLogType: accesslogdatav3.AccessLogType_DownstreamEnd, DownstreamRemoteAddress: socket(floodAddress, 40000),
			DownstreamLocalAddress: socket("10.0.0.1", 15006), ResponseFlags: &accesslogdatav3.ResponseFlags{NoRouteFound: true},
		},
		Request:  &accesslogdatav3.HTTPRequestProperties{Authority: floodHost},
		Response: &accesslogdatav3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(404)},
	}
	return accessLogs(t, nil, slices.Repeat([]*accesslogdatav3.HTTPAccessLogEntry{entry}, 50)...)
}

func accessLogs(t *testing.T, node *corev3.Node, entries ...*accesslogdatav3.HTTPAccessLogEntry) []byte {
	t.Helper()
	m := &accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{
		HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: entries},
	}}
	if node != nil {
		m.Identifier = &accesslogv3.StreamAccessLogsMessage_Identifier{Node: node, LogName: "flood"}
	}
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func socket(ip string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: ip, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

// flood sends n entries over one stream, for hosts first, first+step, … of a million, and a request for a known service with
// every 100th message. It returns how many of these there were.
func flood(t *testing.T, sink string, number, n int) (known int, err error) {
	conn, err := grpc.NewClient(sink, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stream, err := conn.NewStream(context.Background(), &grpc.StreamDesc{ClientStreams: true},
		"/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs", grpc.ForceCodecV2(rawCodec{}))
	if err != nil {
		return 0, err
	}
	node := &corev3.Node{Id: fmt.Sprintf("sidecar~10.0.0.%d~web-%d.default~x", number, number), Cluster: "web"}
	own := &accesslogdatav3.HTTPAccessLogEntry{
		CommonProperties: &accesslogdatav3.AccessLogCommon{AccessLogType: accesslogdatav3.AccessLogType_DownstreamEnd, UpstreamCluster: "outbound|80||known.default.svc.cluster.local"},
		Response:         &accesslogdatav3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(200)},
	}
	if err := stream.SendMsg(accessLogs(t, node, own)); err != nil {
		return 0, err
	}
	template, ownMessage := floodMessage(t), accessLogs(t, nil, own)
	for sent := 0; sent < n; sent += 50 {
		m := bytes.Clone(template) // the one before may still be on its way
		for i, rest := 0, m; ; i++ {
			at := bytes.Index(rest, []byte(floodAddress))
			if at < 0 {
				break
			}
			for part := range 4 {
				copy(rest[at+4*part:], strconv.Itoa(100+rand.IntN(156)))
			}
			rest = rest[at:]
			at = bytes.Index(rest, []byte(floodHost))
			copy(rest[at:], fmt.Sprintf("%016x", ((sent+i)*8+number)%1_000_000))
			rest = rest[at:]
		}
		if err := stream.SendMsg(m); err != nil {
			return 0, err
		}
		if sent%5000 == 0 {
			if err := stream.SendMsg(ownMessage); err != nil {
				return 0, err
			}
			known++
		}
	}
	if err := stream.CloseSend(); err != nil {
		return 0, err
	}
	_ = stream.RecvMsg(nil) // the gateway ends the stream, without an answer, when it has read all of it
	return known + 1, nil
}

// peakMiB is the most memory that a process has had.
func peakMiB(t *testing.T, pid int) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("needs Linux's /proc: %v", err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	return kib / 1024
}

// Ten million entries for a million hosts from random addresses, over eight streams: the gateway's memory stays bounded, and the
// storage has each of them, of the mesh's own service exactly.
func TestFlood(t *testing.T) {
	entries := 10_000_000
	if testing.Short() {
		entries = 400_000
	}
	d := &durable{addresses: freeAddresses(t), data: t.TempDir()}
	d.configs = []string{"--config", d.config(t, needsPlugins(t))}
	d.run(t)
	began := time.Now()
	var all sync.WaitGroup
	var known [8]int
	var errs [8]error
	for i := range known {
		all.Go(func() { known[i], errs[i] = flood(t, d.sink, i, entries/8) })
	}
	all.Wait()
	own := 0
	for i := range known {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		own += known[i]
	}
	t.Logf("%d entries sent in %v", entries, time.Since(began))
	want := float64(entries + own)
	wait(t, "all of it to be stored", func() bool { return d.value(t, `sum(istio_requests_total)`) >= want })
	peak := peakMiB(t, d.gateway.cmd.Process.Pid)
	t.Logf("%d entries in %v, %.0f MiB at most", entries, time.Since(began), peak)
	if peak > floodRSS {
		t.Errorf("the gateway took %.0f MiB, want %d at most", peak, floodRSS)
	}
	f := func(query string, want float64) {
		t.Helper()
		if got := d.value(t, query); got != want {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	f(`sum(istio_requests_total)`, want)
	f(`sum(istio_requests_total{destination_service="known.default.svc.cluster.local"})`, float64(own))
	f(`sum(istio_requests_total{destination_service=~".+\\.example\\.com"}) + sum(istio_requests_total{destination_service="other"})`, float64(entries))
	f(`count(count by (destination_service) (istio_requests_total{destination_service=~".+\\.example\\.com"}))`, 1000)
	d.checkCardinality(t)
}

// checkCardinality asks the gateway for what series are spent on, of which the storage knows what nobody asks for.
func (d *durable) checkCardinality(t *testing.T) {
	t.Helper()
	var answer struct {
		Series      struct{ Kept int }
		Authorities struct{ Kept, Max int }
		Unqueried   struct {
			Error   string
			Metrics []struct {
				Metric string
				Series int
			}
		}
	}
	getJSON(t, "http://"+d.console+"/api/v1/cardinality", &answer)
	names := map[string]int{}
	for _, m := range answer.Unqueried.Metrics {
		names[m.Metric] = m.Series
	}
	if _, asked := names["istio_requests_total"]; asked || names["istio_request_bytes_bucket"] < 1000 || answer.Unqueried.Error != "" {
		t.Errorf("unqueried: %q, %d metrics, %d series of istio_request_bytes_bucket", answer.Unqueried.Error, len(names), names["istio_request_bytes_bucket"])
	}
	if answer.Authorities.Kept != 1000 || answer.Authorities.Max != 1000 || answer.Series.Kept < 1000 {
		t.Errorf("got %+v", answer.Authorities)
	}
}
