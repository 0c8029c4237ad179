package mesh

import (
	"fmt"
	"slices"
	"testing"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestDroppedLabelsMergeSeries(t *testing.T) {
	var entries []*accesslogdatav3.HTTPAccessLogEntry
	for i := range 12 {
		entries = append(entries, request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
			e.CommonProperties.FilterStateObjects = map[string]*anypb.Any{
				"upstream_peer": peerStruct("app", "reviews", "version", fmt.Sprint("v", i%2), "identity", fmt.Sprint("spiffe://", i)),
			}
			e.CommonProperties.ResponseFlags = &accesslogdatav3.ResponseFlags{FaultInjected: i%3 == 0}
			e.Response.ResponseCode = wrapperspb.UInt32(uint32(200 + i%4))
		}))
	}
	f := func(want int, drop ...string) {
		t.Helper()
		series := count(t, Options{Drop: drop}, entries...)
		var requests uint64
		for _, s := range series {
			requests += s.Requests
			for _, l := range s.Labels {
				if slices.Contains(drop, l.Name) {
					t.Errorf("the label %s is there", l.Name)
				}
			}
		}
		if len(series) != want || requests != 12 {
			t.Errorf("without %v: %d requests in %d series, want 12 in %d", drop, requests, len(series), want)
		}
	}
	f(12)
	f(8, "destination_principal")
	f(4, "destination_principal", "response_flags")
	f(2, "destination_principal", "response_flags", "response_code")
	f(1, DroppableLabels()...)
	f(1, append(DroppableLabels(), "no_such_label")...)
}

func TestPeersThatLookAlikeAreOneSeries(t *testing.T) {
	named := request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.CommonProperties.FilterStateObjects["upstream_peer"] = peerStruct("app", "reviews", "revision", "latest")
	})
	unnamed := request(func(e *accesslogdatav3.HTTPAccessLogEntry) {
		e.CommonProperties.FilterStateObjects["upstream_peer"] = peerStruct("app", "reviews", "version", "latest")
	})
	if series := count(t, Options{}, named, unnamed); len(series) != 1 || series[0].Requests != 2 {
		t.Errorf("%d series, want one with two requests", len(series))
	}
}

func TestWhatLeadsToSeriesIsBounded(t *testing.T) {
	var entries []*accesslogdatav3.HTTPAccessLogEntry
	for i := range 50 {
		entries = append(entries, request(func(e *accesslogdatav3.HTTPAccessLogEntry) { e.Response.ResponseCode.Value = uint32(200 + i) }))
	}
	if series := count(t, Options{MaxSeries: 2, Drop: []string{"response_code"}}, entries...); len(series) != 1 || series[0].Requests != 50 {
		t.Errorf("%d series, want one with 50 requests", len(series))
	}
}
