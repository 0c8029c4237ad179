package stats

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTagsInNames(t *testing.T) {
	tags := defaultTags()
	// f wants what a stat becomes: its name and labels, parted by blanks.
	f := func(stat, want string) {
		t.Helper()
		name, found := extract(tags, stat)
		name, _ = outputName(name)
		got := name
		for _, l := range outputLabels(found) {
			got += " " + l.name + "=" + l.value
		}
		if got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", stat, got, want)
		}
	}
	// What the Envoy of the other test does not have.
	f("mongo.docs.collection.users.callsite.getByID.query.total", "envoy_mongo_collection_callsite_query_total envoy_mongo_callsite=getByID envoy_mongo_collection=users envoy_mongo_prefix=docs")
	f("mongo.docs.cmd.insert.reply_size", "envoy_mongo_cmd_reply_size envoy_mongo_cmd=insert envoy_mongo_prefix=docs")
	f("cluster.c.grpc.pkg_Service.Method.success", "envoy_cluster_grpc_success envoy_cluster_name=c envoy_grpc_bridge_method=Method envoy_grpc_bridge_service=pkg_Service")
	f("http.in.dynamodb.table.users.capacity.Query.__partition_id=ABC1234", "envoy_http_dynamodb_table_capacity envoy_dynamo_operation=Query envoy_dynamo_partition_id=ABC1234 envoy_dynamo_table=users envoy_http_conn_manager_prefix=in")
	f("http.in.dynamodb.operation.Query.upstream_rq_time", "envoy_http_dynamodb_operation_upstream_rq_time envoy_dynamo_operation=Query envoy_http_conn_manager_prefix=in")
	f("http.in.user_agent.ios.downstream_cx_total", "envoy_http_user_agent_downstream_cx_total envoy_http_conn_manager_prefix=in envoy_http_user_agent=ios")
	f("udp.dns.downstream_sess_total", "envoy_udp_downstream_sess_total envoy_udp_prefix=dns")
	f("auth.clientssl.p.auth_no_ssl", "envoy_auth_clientssl_auth_no_ssl envoy_clientssl_prefix=p")
	f("ratelimit.p.over_limit", "envoy_ratelimit_over_limit envoy_ratelimit_prefix=p")
	f("local_rate_limit.p.rate_limited", "envoy_local_rate_limit_rate_limited envoy_local_network_ratelimit_prefix=p")
	f("listener_local_ratelimit.p.rate_limited", "envoy_listener_local_ratelimit_rate_limited envoy_local_listener_ratelimit_prefix=p")
	f("dns_filter.p.known_domain_queries", "envoy_dns_filter_known_domain_queries envoy_dns_filter_prefix=p")
	f("grpc.p.streams_total", "envoy_grpc_streams_total envoy_google_grpc_client_prefix=p")
	f("http.in.scoped_rds.a/b.c.update_success", "envoy_http_scoped_rds_update_success envoy_http_conn_manager_prefix=in envoy_scoped_rds_config=a/b.c")
	f("cluster.c.ext_authz.gate.ok", "envoy_cluster_ext_authz_ok envoy_cluster_name=c envoy_ext_authz_prefix=gate")
	f("listener.[__1]_8080.worker_3.downstream_cx_total", "envoy_listener_worker_downstream_cx_total envoy_listener_address=[__1]_8080 envoy_worker_id=3")
	f("listener.admin.downstream_cx_total", "envoy_listener_admin_downstream_cx_total")
	f("server.live", "envoy_server_live")
	f("cluster.c.upstream_rq_503", "envoy_cluster_upstream_rq envoy_cluster_name=c envoy_response_code=503")
	f("cluster.c.upstream_rq_5xx", "envoy_cluster_upstream_rq_xx envoy_cluster_name=c envoy_response_code_class=5")

	// Istio's clusters have dots in their names, its listeners too.
	const reviews = "outbound|9080|v1|reviews.default.svc.cluster.local"
	f("cluster."+reviews+".upstream_rq_200", "envoy_cluster_upstream_rq envoy_cluster_name="+reviews+" envoy_response_code=200")
	f("cluster."+reviews+".circuit_breakers.default.cx_open", "envoy_cluster_circuit_breakers_default_cx_open envoy_cluster_name="+reviews)
	f("cluster."+reviews+".ssl.handshake", "envoy_cluster_ssl_handshake envoy_cluster_name="+reviews)
	f("cluster."+reviews+".default.total_match_count", "envoy_cluster_default_total_match_count envoy_cluster_name="+reviews)
	f("cluster.outbound|443||api.external.com.external.upstream_rq_2xx", "envoy_cluster_external_upstream_rq_xx envoy_cluster_name=outbound|443||api.external.com envoy_response_code_class=2")
	f("cluster.inbound|8080||.upstream_cx_total", "envoy_cluster_upstream_cx_total envoy_cluster_name=inbound|8080||")
	f("tcp."+reviews+".downstream_cx_total", "envoy_tcp_downstream_cx_total envoy_tcp_prefix="+reviews)
	f("tcp.inbound|9080||.downstream_cx_total", "envoy_tcp_downstream_cx_total envoy_tcp_prefix=inbound|9080||")
	f("http.outbound_0.0.0.0_9080;.downstream_rq_total", "envoy_http_downstream_rq_total envoy_http_conn_manager_prefix=outbound_0.0.0.0_9080")
	f("istiocustom.istio_requests_total.reporter.source.source_workload.web-v1.destination_service.a.b.svc.cluster.local.response_code.200",
		"istio_requests_total destination_service=a.b.svc.cluster.local reporter=source response_code=200 source_workload=web-v1")
	f("wasmcustom.my.counter", "my_counter")
}

func TestNames(t *testing.T) {
	f := func(stat, want string, ok bool) {
		t.Helper()
		if name, has := outputName(stat); has != ok || ok && name != want {
			t.Errorf("%q: %q, %v", stat, name, has)
		}
	}
	f("a-b:c/d.é", "envoy_a_b_c_d__", true)
	f("istiocustom.x.y", "x_y", true)
	f("istiocustom.", "", false)
	f("wasmcustom.9", "", false)
	f("", "", false)
}

// What says which Envoy it is stands for itself.
func TestLabelsThatAreOurs(t *testing.T) {
	got := outputLabels([]label{{"version", "theirs"}, {"a.b", "1"}, {"a-b", "2"}, {"", "x"}, {"empty", ""}, {"bad", "\xff"}})
	want := []label{{"a_b", "1"}, {"bad", "\uFFFD"}, {"exported_version", "theirs"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(label{})); diff != "" {
		t.Errorf("(-want +got):\n%s", strings.ReplaceAll(diff, "\u00a0", " "))
	}
}
