package mesh

import "strings"

// noFlag is what an entry without flags says. Nothing writes to it.
var noFlag = Explanation{
	Flag: "-", Name: "no flag", Code: "any", Upstream: UpstreamMaybe,
	Details: []string{"via_upstream", "direct_response", "rbac_access_denied_matched_policy[…]", "max_duration_timeout", "request_overall_timeout"},
	Meaning: "Envoy has nothing to remark. An error code is the application's own answer, or comes of a filter that sets no flag: response_code_details tell which.",
	Causes:  []string{"via_upstream: the application itself answered so", "direct_response: the route answers by itself", "rbac_access_denied…: an AuthorizationPolicy refused it (403)", "max_duration_timeout (504), request_overall_timeout (408): time limits that set no flag"},
	Check:   []string{"response_code_details of the entries: lockkeeper explain DETAILS says what they mean", "the same request at the destination's own Envoy (reporter=\"destination\"), by request id", "retries: an entry that says 200 may have needed several tries. Only the router's upstream_log names the hosts that failed"},
}

// together are the sets of flags that say more than each of them. Nothing writes to it. The sets are sorted.
var together = []Together{
	{[]string{"UF", "UO"}, "UO is the retry circuit breaker here, not the pool: connections failed (UF), and more retries were under way than max_retries allows (3 by default). Cure the connection failure; raise max_retries only then."},
	{[]string{"UF", "URX"}, "No try could connect: the service is down or unreachable as a whole, or retries always met the same dead host. For TCP the two always come together."},
	{[]string{"URX", "UT"}, "Each try ran into its per-try timeout. The upstream is slow on all hosts, or hangs: retries only add to its load."},
	{[]string{"UC", "URX"}, "Each try lost its connection: not the keep-alive race, which the first retry cures. Look for crashing pods."},
	{[]string{"UR", "URX"}, "Each try was reset by the upstream: the request itself sets it off, or all hosts are overloaded."},
	{[]string{"UO", "URX"}, "Retries met the open circuit breaker: the cluster is overloaded, and retries make it worse."},
	{[]string{"DI", "FI"}, "A fault injection test: delayed and then aborted, both by configuration."},
	{[]string{"DC", "DI"}, "The client left during an injected delay: its timeout is shorter than the fault that is tested."},
	{[]string{"DC", "UT"}, "Client and route gave up at about the same time: their timeouts are equal. The upstream is what is slow."},
}

// Detail explains a value of response_code_details.
type Detail struct {
	Details string `json:"details"` // the value, or what it begins with
	Flag    string `json:"flag"`    // the flag that comes with it; "-" if none does
	Code    string `json:"code"`
	Meaning string `json:"meaning"`
}

// ExplainDetails explains a value of response_code_details: by the longest beginning that is known.
func ExplainDetails(value string) (Detail, bool) {
	var best Detail
	for _, d := range detailTable {
		if strings.HasPrefix(value, d.Details) && len(d.Details) > len(best.Details) {
			best = d
		}
	}
	return best, best.Details != ""
}

// Details returns the values of response_code_details that are known.
func Details() []Detail { return append([]Detail(nil), detailTable...) }

// detailTable is sorted by flag and value. Nothing writes to it.
var detailTable = []Detail{
	{"direct_response", "-", "as configured", "The route has a direct_response: nothing was sent upstream."},
	{"internal_redirect", "-", "3xx", "Envoy followed the upstream's redirect itself."},
	{"jwt_authn_access_denied", "-", "401 or 403", "The JWT is missing, expired or not accepted (RequestAuthentication). What is in braces is the reason."},
	{"maintenance_mode", "-", "503", "The runtime key upstream.maintenance_mode.CLUSTER is set."},
	{"max_duration_timeout", "-", "504", "The stream lasted longer than the route's or the connection manager's max_stream_duration."},
	{"rbac_access_denied", "-", "403", "An AuthorizationPolicy refused the request; the policy's name is in brackets. Stats *.rbac.denied."},
	{"request_header_timeout", "-", "408", "The client did not send its headers within request_headers_timeout."},
	{"request_overall_timeout", "-", "408", "The client did not send its whole request within request_timeout."},
	{"request_payload_too_large", "-", "413", "A filter buffers the request, and its body is larger than the buffer."},
	{"response_payload_too_large", "-", "500", "A filter buffers the response, and its body is larger than the buffer."},
	{"upgrade_failed", "-", "403", "The route does not allow this upgrade (WebSocket, CONNECT)."},
	{"via_upstream", "-", "any", "The application answered. Its code is its own; with URX it was the answer to the last try."},
	{"downstream_local_disconnect", "DC", "0", "Envoy closed the client's connection; the reason is in parentheses."},
	{"downstream_remote_disconnect", "DC", "0", "The client closed its connection before the response was complete."},
	{"dns_resolution_failure", "DF", "503", "A dynamic forward proxy could not resolve the host."},
	{"drop_overload", "DO", "503", "The control plane has Envoy drop a share of the cluster's requests. No field of ALS says so but this."},
	{"http1.", "DPE", "400", "HTTP/1 that is not valid; the rest says what."},
	{"http2.", "DPE", "400", "HTTP/2 that is not valid; the rest says what."},
	{"http2.remote_refuse", "DR", "0", "The client reset the stream: REFUSED_STREAM."},
	{"http2.remote_reset", "DR", "0", "The client reset the stream: it cancelled the call."},
	{"duration_timeout", "DT", "none", "The connection reached its maximal duration."},
	{"fault_filter_abort", "FI", "as configured", "The fault filter aborted the request, by configuration."},
	{"request_headers_failed_strict_check", "IH", "400", "An x-envoy-* header of the request has an invalid value."},
	{"health_check_failed", "LH", "503", "The health check filter says that the service is not healthy."},
	{"cluster_not_found", "NC", "503", "The route names a cluster that Envoy does not have."},
	{"no_filter_config_found", "NFCF", "500", "A filter's configuration had not arrived."},
	{"filter_chain_not_found", "NR", "none", "No filter chain matches the connection: wrong port, SNI or protocol."},
	{"route_configuration_not_found", "NR", "404", "The listener has no route configuration (yet)."},
	{"route_not_found", "NR", "404", "No route matches host and path."},
	{"overload", "OM", "503", "The overload manager refused the request."},
	{"cache.response_from_cache_filter", "RFCF", "any", "The cache filter answered."},
	{"local_rate_limited", "RL", "429", "Envoy's own rate limit refused the request."},
	{"request_rate_limited", "RL", "429", "The rate limit service refused the request."},
	{"rate_limiter_error", "RLSE", "500", "The rate limit service could not be asked."},
	{"stream_idle_timeout", "SI", "504 or 408", "Nothing was sent in either direction for stream_idle_timeout."},
	{"ext_authz_denied", "UAEX", "403", "The authorization service refused the request."},
	{"ext_authz_error", "UAEX", "403", "The authorization service could not be asked."},
	{"upstream_reset_before_response_started{connection_termination", "UC", "503", "The upstream closed the connection before its response began."},
	{"unconditional_drop_overload", "UDO", "503", "The control plane has Envoy drop all of the cluster's requests. No field of ALS says so but this."},
	{"upstream_reset_before_response_started{connection_timeout", "UF", "503", "The connection could not be opened in connect_timeout: packets are dropped, or the host is dead."},
	{"upstream_reset_before_response_started{local_connection_failure", "UF", "503", "Envoy could not open the connection for a reason of its own, such as no free port or file descriptor."},
	{"upstream_reset_before_response_started{remote_connection_failure", "UF", "503", "The host refused the connection, or the TLS handshake failed; the rest says which."},
	{"no_healthy_upstream", "UH", "503", "The cluster has no host that may be used."},
	{"upstream_max_stream_duration_reached", "UMSDR", "504", "The stream lasted longer than the cluster's max_stream_duration."},
	{"upstream_reset_before_response_started{overflow", "UO", "503", "A circuit breaker of the cluster is open."},
	{"upstream_reset_after_response_started{protocol_error", "UPE", "200", "The response broke off or became invalid after its headers were sent: the client got a part, with the code of a success."},
	{"upstream_reset_before_response_started{protocol_error", "UPE", "502", "The upstream's answer is not valid HTTP."},
	{"upstream_reset_after_response_started", "UR", "200", "The upstream reset the stream after its headers were sent: the client got a part, with the code of a success."},
	{"upstream_reset_before_response_started", "UR", "503", "The upstream reset the stream, or its connection was lost, before its response began; the reason is in braces."},
	{"response_timeout", "UT", "504", "The route's timeout passed without a response."},
	{"upstream_per_try_idle_timeout", "UT", "504", "The last try was idle for longer than per_try_idle_timeout."},
	{"upstream_per_try_timeout", "UT", "504", "The last try took longer than per_try_timeout."},
}
