package mesh

import (
	"cmp"
	"slices"
	"testing"

	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
)

// recordedEntries are the HTTP entries of a whole stream that a real Envoy sent while each of its flags was provoked.
func recordedEntries(t *testing.T) []*accesslogdatav3.HTTPAccessLogEntry {
	t.Helper()
	var all []*accesslogdatav3.HTTPAccessLogEntry
	for _, m := range corpus(t)["testdata/corpus/http_stream_delta.binpb"] {
		all = append(all, m.GetHttpLogs().GetLogEntry()...)
	}
	if len(all) != 51 {
		t.Fatalf("%d entries", len(all))
	}
	return all
}

func messageOf(e *accesslogdatav3.HTTPAccessLogEntry) *accesslogv3.StreamAccessLogsMessage {
	return &accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{
		HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: []*accesslogdatav3.HTTPAccessLogEntry{e}},
	}}
}

func labelOf(s *Series, name string) string {
	for _, l := range s.Labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// What Envoy 1.40 writes when a request fails in each of the ways that can be provoked, and what is counted of it. path is
// what the client asked for.
func TestEnvoyFailures(t *testing.T) {
	entries := recordedEntries(t)
	f := func(path, code, details, flags, cluster string, attempts uint32) {
		t.Helper()
		i := slices.IndexFunc(entries, func(e *accesslogdatav3.HTTPAccessLogEntry) bool {
			return cmp.Or(e.GetRequest().GetOriginalPath(), e.GetRequest().GetPath()) == path && e.GetResponse().GetResponseCodeDetails() == details
		})
		if i < 0 {
			t.Errorf("%s: no entry with details %q", path, details)
			return
		}
		common := entries[i].GetCommonProperties()
		if got := common.GetUpstreamCluster(); got != cluster {
			t.Errorf("%s: upstream_cluster %q, want %q", path, got, cluster)
		}
		if told := common.GetUpstreamRemoteAddress() != nil; told != (cluster != "") {
			t.Errorf("%s: upstream_remote_address told: %v", path, told)
		}
		if got := common.GetUpstreamRequestAttemptCount(); got != attempts {
			t.Errorf("%s: %d attempts, want %d", path, got, attempts)
		}
		series, _ := aggregate(t, []*accesslogv3.StreamAccessLogsMessage{messageOf(entries[i])})
		if len(series) != 1 || series[0].Requests != 1 {
			t.Errorf("%s: %d series", path, len(series))
			return
		}
		if got := labelOf(&series[0], "response_code"); got != code {
			t.Errorf("%s: response_code %s, want %s", path, got, code)
		}
		if got := labelOf(&series[0], "response_flags"); got != flags {
			t.Errorf("%s: response_flags %s, want %s", path, got, flags)
		}
	}
	// No host was chosen: neither cluster nor upstream are told, on the failures that matter most.
	f("/no-such-route", "404", "route_not_found", "NR", "", 0)
	f("/nc", "503", "cluster_not_found", "NC", "", 0)
	f("/uh", "503", "no_healthy_upstream", "UH", "", 1)
	f("/healthy-none", "503", "no_healthy_upstream", "UH", "", 1)
	f("/df", "503", "no_healthy_upstream", "UH", "", 1) // a name that DNS does not know: not DF
	f("/uo/x", "503", "upstream_reset_before_response_started{overflow}", "UO", "", 1)
	f("/fi-abort", "503", "fault_filter_abort", "FI", "", 0)
	f("/di-abort", "500", "fault_filter_abort", "DI,FI", "", 0)
	f("/rl", "429", "local_rate_limited", "RL", "", 0)
	f("/uaex", "403", "ext_authz_denied", "UAEX", "", 0)
	f("/do", "503", "unconditional_drop_overload", "UDO", "", 0) // the ResponseFlags message has no field for UDO
	f("", "400", "http1.codec_error", "DPE", "", 0)
	// A host was chosen.
	f("/slowtimeout", "504", "response_timeout", "UT", "app", 1)
	f("/pertry", "504", "upstream_per_try_timeout", "URX,UT", "app", 3)
	f("/uf", "503", "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}", "UF", "refused", 1)
	f("/uf-timeout", "503", "upstream_reset_before_response_started{connection_timeout}", "UF", "blackhole", 1)
	f("/urx-5xx", "503", "via_upstream", "URX", "app", 3)
	f("/urx-uf", "503", "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}", "UF,URX", "refused", 3)
	f("/uc-reset", "503", "upstream_reset_before_response_started{connection_termination}", "UC", "app", 1)
	f("/upe", "502", "upstream_reset_before_response_started{protocol_error}", "UPE", "app", 1)
	f("/uc-partial", "200", "upstream_reset_after_response_started{protocol_error}", "UPE", "app", 1) // not UC
	f("/sleep/1000", "0", "downstream_remote_disconnect", "DC", "app", 1)
	f("/fi-delay", "200", "via_upstream", "DI", "app", 1)
	f("/si", "504", "stream_idle_timeout", "SI", "app", 1)
	f("/umsdr", "504", "upstream_max_stream_duration_reached", "UMSDR", "maxdur", 1)
	// Failures without any flag.
	f("/rbac", "403", "rbac_access_denied_matched_policy[deny-all]", "-", "", 0)
	f("/dt", "504", "max_duration_timeout", "-", "app", 1)
	f("/app/slowbody", "408", "request_overall_timeout", "-", "app", 1)
	f("/direct", "200", "direct_response", "-", "", 0)
}

// gRPC: the status of a normal or streamed reply is in the trailers, that of a reply without a body in the headers, and a
// client that leaves has neither status nor code.
func TestEnvoyGRPC(t *testing.T) {
	seen := map[[3]string]int{} // grpc-status in trailers, in headers, and the label
	for _, e := range recordedEntries(t) {
		if e.GetRequest().GetRequestHeaders()["content-type"] != "application/grpc" {
			continue
		}
		series, _ := aggregate(t, []*accesslogv3.StreamAccessLogsMessage{messageOf(e)})
		if len(series) != 1 || labelOf(&series[0], "request_protocol") != "grpc" {
			t.Fatalf("%d series of %v", len(series), e)
		}
		response := e.GetResponse()
		seen[[3]string{
			response.GetResponseTrailers()["grpc-status"], response.GetResponseHeaders()["grpc-status"], labelOf(&series[0], "grpc_response_status"),
		}]++
		if gone := e.GetCommonProperties().GetResponseFlags().GetDownstreamConnectionTermination(); gone != (labelOf(&series[0], "response_code") == "0") {
			t.Errorf("code %s of %v", labelOf(&series[0], "response_code"), e)
		}
	}
	for _, row := range [][3]string{
		{"0", "", "0"}, {"10", "", "10"}, {"", "5", "5"}, {"", "14", "14"}, {"", "", ""},
	} {
		if seen[row] == 0 {
			t.Errorf("no request with status %q in trailers, %q in headers, labelled %q: %v", row[0], row[1], row[2], seen)
		}
	}
}

// Entries with access_log_options are sent several times; only the last one counts, and it alone has an end.
func TestEnvoyIntermediateEntries(t *testing.T) {
	var of []*accesslogdatav3.HTTPAccessLogEntry
	for _, e := range recordedEntries(t) {
		if e.GetRequest().GetPath() == "/sleep/2500" {
			of = append(of, e)
		}
	}
	if len(of) != 4 {
		t.Fatalf("%d entries", len(of))
	}
	var messages []*accesslogv3.StreamAccessLogsMessage
	for i, e := range of {
		common, last := e.GetCommonProperties(), i == len(of)-1
		if (common.GetAccessLogType() == accesslogdatav3.AccessLogType_DownstreamEnd) != last || (common.GetDuration() != nil) != last || (e.GetResponse().GetResponseCode() != nil) != last {
			t.Errorf("entry %d: %v", i, e)
		}
		if common.GetStreamId() != of[0].GetCommonProperties().GetStreamId() {
			t.Errorf("entry %d has another stream_id", i)
		}
		messages = append(messages, messageOf(e))
	}
	if series, _ := aggregate(t, messages); len(series) != 1 || series[0].Requests != 1 {
		t.Errorf("%d series", len(series))
	}
}

// Which fields Envoy sends, and when.
func TestEnvoyFieldPresence(t *testing.T) {
	for _, e := range recordedEntries(t) {
		common, path := e.GetCommonProperties(), e.GetRequest().GetPath()
		if common.GetAccessLogType() == accesslogdatav3.AccessLogType_NotSet {
			t.Errorf("%s: no access_log_type", path)
		}
		if common.GetStartTime() == nil || common.GetDownstreamRemoteAddress() == nil || common.GetDownstreamLocalAddress() == nil {
			t.Errorf("%s: no start time or downstream address", path)
		}
		if (common.GetStreamId() == "") != (path == "") {
			t.Errorf("%s: stream_id %q", path, common.GetStreamId()) // all but garbage have one
		}
		if common.GetSampleRate() != 0 {
			t.Errorf("%s: sample rate", path)
		}
	}
}
