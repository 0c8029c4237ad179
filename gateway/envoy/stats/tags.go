package stats

import (
	"regexp"
	"slices"
	"strings"
)

// tag is how the value of one of Envoy's default tags is embedded in the names of stats. Where its expression matches, the
// first group is left out of the name and the second is the value.
type tag struct {
	name string
	root string // the name's first part; empty: any
	find *regexp.Regexp
}

// Parts of the expressions of tags.
const (
	anyValue    = `[^.]+`
	anyAddress  = `(?:\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[[a-fA-F_\d]+\])_\d+`
	anyTLSOwner = `^(?:listener|cluster)\..*?\.ssl\.`

	// istioCluster has the dots of the host. What follows it has dots of its own.
	istioCluster = `((?:in|out)bound(?:-vip)?\|\d*\|[^|]*\|(?:[^|]*?\.svc\.cluster\.local|[^|]*?))\.`
	ofCluster    = `(?:(?:external|internal|canary|outlier_detection|health_check|http[123]|ssl|default|lb)\.\w+` +
		`|circuit_breakers\.\w+\.\w+|ssl\.\w+\.[\w-]+|(?:zone|grpc|ext_authz|health_check)\..+|\w+)$`
)

// defaultTags are Envoy's default tags, as of Envoy 1.40, and what Istio's names of clusters and listeners need beyond.
func defaultTags() []tag {
	one := func(name, root, find string) tag { return tag{"envoy." + name, root, regexp.MustCompile(find)} }
	// after is a tag whose value is the part that follows head.
	after := func(name, head string) tag {
		root, _, _ := strings.Cut(head, ".")
		expression := strings.ReplaceAll(regexp.QuoteMeta(head), `\*`, anyValue)
		return one(name, root, "^"+expression+`\.((`+anyValue+`)\.)`)
	}
	before := func(name, tail string) tag { return one(name, "", `^((`+anyValue+`)\.)`+tail+`\.`) }
	return []tag{
		one("response_code", "", `_rq(_(\d{3}))$`),
		one("response_code_class", "", `_rq_((\d))xx$`),
		one("dynamo_partition_id", "http", `^http\.[^.]+\.dynamodb\.table\.[^.]+\.capacity\.[^.]+(\.__partition_id=(\w{7}))$`),
		one("dynamo_operation", "http", `^http\.[^.]+\.dynamodb\.(?:operation|table\.[^.]+\.capacity)(\.([^.]+))(?:\.|$)`),
		one("dynamo_table", "http", `^http\.[^.]+\.dynamodb\.(?:table|error)\.(([^.]+)\.)`),
		one("mongo_callsite", "mongo", `^mongo\.[^.]+\.collection\.[^.]+\.callsite\.(([^.]+)\.)query\.`),
		one("mongo_collection", "mongo", `^mongo\.[^.]+\.collection\.(([^.]+)\.)(?:.*\.)?query\.[^.]+$`),
		after("mongo_cmd", "mongo.*.cmd"),
		after("mongo_prefix", "mongo"),
		after("grpc_bridge_method", "cluster.*.grpc.*"),
		after("grpc_bridge_service", "cluster.*.grpc"),
		after("http_user_agent", "http.*.user_agent"),
		after("virtual_cluster", "vhost.*.vcluster"),
		after("route", "vhost.*.route"),
		after("virtual_host", "vhost"),
		after("fault_downstream_cluster", "http.*.fault"),
		one("ssl_cipher", "listener", `^listener\..*?\.ssl\.ciphers(\.([\w-]+))$`),
		{"cipher_suite", "cluster", regexp.MustCompile(`^cluster\.[^.]+\.ssl\.ciphers(\.([\w-]+))$`)},
		one("ssl_curve", "", anyTLSOwner+`curves(\.([\w-]+))$`),
		one("ssl_sigalg", "", anyTLSOwner+`sigalgs(\.([\w-]+))$`),
		one("ssl_version", "", anyTLSOwner+`versions(\.(TLSv\d\.\d))$`),
		one("tls_certificate", "", anyTLSOwner+`certificate\.(([^.]+)\.).*$`),
		one("tcp_prefix", "tcp", `^tcp\.(`+istioCluster+`)\w+$`),
		after("tcp_prefix", "tcp"),
		after("udp_prefix", "udp"),
		after("clientssl_prefix", "auth.clientssl"),
		after("ratelimit_prefix", "ratelimit"),
		one("cluster_name", "cluster", `^cluster\.(`+istioCluster+`)`+ofCluster),
		one("cluster_name", "cluster", `^cluster\.(([^.|]+)\.)`),
		one("http_conn_manager_prefix", "listener", `^listener\..*?\.http\.(([^.]+)\.)`),
		one("http_conn_manager_prefix", "http", `^http\.(((?:in|out)bound_`+anyAddress+`);?\.)`),
		after("http_conn_manager_prefix", "http"),
		after("ext_authz_prefix", "cluster.*.ext_authz"),
		after("ext_authz_prefix", "http.*.ext_authz"),
		one("worker_id", "", `^(?:listener\.(?:`+anyAddress+`|[^.]+)|server|listener_manager|thread_local_cluster_manager)\.worker_((\d+)\.)`),
		one("listener_address", "listener", `^listener\.((`+anyAddress+`|[^.]+)\.)`),
		one("rds_route_config", "http", `^http\.[^.]+\.rds\.(([\w.-]+)\.)\w+$`),
		one("scoped_rds_config", "http", `^http\.[^.]+\.scoped_rds\.(([\w./-]+)\.)\w+$`),
		after("thrift_prefix", "thrift"),
		after("redis_prefix", "redis"),
		before("local_http_ratelimit_prefix", `http_local_rate_limit`),
		after("local_network_ratelimit_prefix", "local_rate_limit"),
		after("local_listener_ratelimit_prefix", "listener_local_ratelimit"),
		after("dns_filter_prefix", "dns_filter"),
		after("connection_limit_prefix", "connection_limit"),
		one("rbac_http_prefix", "http", `^http\.[^.]+\.rbac\.(([^.]+)\.)`),
		one("rbac_policy_name", "http", `^http\.[^.]+\.rbac\.(?:[^.]+\.)?policy\.(([^.]+)\.)(?:allowed|shadow_allowed|denied|shadow_denied)$`),
		before("rbac_prefix", `rbac`),
		after("google_grpc_client_prefix", "grpc"),
		one("proxy_protocol_prefix", "proxy_proto", `^proxy_proto\.(([^.]+)\.).+$`),
		one("proxy_protocol_version", "proxy_proto", `^proxy_proto\.((?:[^.]+\.)?versions\.v(\d)\.)\w+$`),
		one("xds_resource_name", "sds", `^sds\.(([^.]+)\.).+`),
		one("health_check_name", "cluster", `^cluster\.[^.]+\.health_check(\.name\.([^.]+))\..+`),
	}
}

// extract splits a stat's name into the name that all stats of its kind share and the tags embedded in it.
func extract(tags []tag, name string) (string, []label) {
	if strings.HasPrefix(name, "istio_") || strings.HasPrefix(name, "istiocustom.istio_") {
		return extractIstio(name)
	}
	root, _, _ := strings.Cut(name, ".")
	var found []label
	var cuts [][2]int
	for i := range tags {
		t := &tags[i]
		if t.root != "" && t.root != root || slices.ContainsFunc(found, func(l label) bool { return l.name == t.name }) {
			continue
		}
		at := t.find.FindStringSubmatchIndex(name)
		if at == nil || t.name == "envoy.listener_address" && name[at[4]:at[5]] == "admin" {
			continue
		}
		found = append(found, label{t.name, name[at[4]:at[5]]})
		cuts = append(cuts, [2]int{at[2], at[3]})
	}
	slices.SortFunc(cuts, func(a, b [2]int) int { return a[0] - b[0] })
	var rest strings.Builder
	end := 0
	for _, c := range cuts {
		if c[0] > end {
			rest.WriteString(name[end:c[0]])
		}
		end = max(end, c[1])
	}
	rest.WriteString(name[end:])
	return rest.String(), found
}
