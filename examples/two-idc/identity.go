package main

import (
	"encoding/base64"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// identity is how Envoys say who is at both ends of a request.
type identity string

const (
	// tagged: Envoy's own means. Custom tags name the reporter, the source and, by the endpoint's metadata, the destination;
	// filter state carries "workload;namespace;name;revision;cluster".
	tagged identity = "tagged"
	// istio: what Istio's defaults send. No tags; upstream_peer and downstream_peer as Structs, where the other side answered
	// or called, and nothing of who is at the other end of a request that failed before.
	istio identity = "istio"
)

const peerHeader = "x-peer" // its tagged form is followed by x-peer-app and x-peer-version

// short is the form of Istio's endpoint metadata.
func short(p proxy) string {
	return strings.Join([]string{p.workload(), "demo", p.app, p.version, p.idc}, ";")
}

// encoded is a google.protobuf.Value with the peer as Istio's Struct, in base64. Its fields are strings, so it can't fail.
func encoded(p proxy) string {
	peer := structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{
		"workload":  structpb.NewStringValue(p.workload()),
		"namespace": structpb.NewStringValue("demo"),
		"service":   structpb.NewStringValue(p.app),
		"revision":  structpb.NewStringValue(p.version),
		"cluster":   structpb.NewStringValue(p.idc),
		"app":       structpb.NewStringValue(p.app),
		"version":   structpb.NewStringValue(p.version),
	}})
	bytes, err := proto.Marshal(peer)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(bytes)
}

// requestHeaders tell the server who calls.
func (id identity) requestHeaders(p proxy) list {
	if id == istio {
		return list{header(peerHeader, encoded(p))}
	}
	return list{header(peerHeader, short(p)), header(peerHeader+"-app", p.app), header(peerHeader+"-version", p.version)}
}

// responseHeaders tell the caller who answers.
func (id identity) responseHeaders(p proxy) list {
	if id == istio {
		return list{header(peerHeader, encoded(p))}
	}
	return list{}
}

func header(name, value string) object {
	return object{"header": object{"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
}

// filters put the peers where the access log finds them. Stock Envoy has no filter of Istio's: dynamic metadata takes the
// place of filter state for Structs.
func (id identity) filters(p proxy) list {
	if id == istio {
		rules, peer := "response_rules", "upstream_peer"
		if p.role == server {
			rules, peer = "request_rules", "downstream_peer"
		}
		return list{object{"name": "envoy.filters.http.header_to_metadata", "typed_config": typed("filters.http.header_to_metadata.v3.Config", object{
			rules: list{object{"header": peerHeader, "remove": true, "on_header_present": object{
				"metadata_namespace": "istio.peer", "key": peer, "type": "PROTOBUF_VALUE", "encode": "BASE64",
			}}},
		})}}
	}
	states := list{filterState("downstream_peer", short(p))}
	if p.role == server {
		states = list{filterState("downstream_peer", fmt.Sprintf("%%REQ(%s)%%", peerHeader)), filterState("upstream_peer", short(p))}
	}
	return list{object{"name": "envoy.filters.http.set_filter_state", "typed_config": typed("filters.http.set_filter_state.v3.Config", object{
		"on_request_headers": states,
	})}}
}

func filterState(key, format string) object {
	return object{
		"object_key": key, "factory_key": "envoy.string", "skip_if_empty": true,
		"format_string": object{"text_format_source": object{"inline_string": format}, "omit_empty_values": true},
	}
}

// endpointMetadata tells the caller's tags who is at an endpoint.
func (id identity) endpointMetadata(p proxy) object {
	if id == istio {
		return object{}
	}
	return object{"filter_metadata": object{"istio": object{
		"workload": p.workload(), "workload_namespace": "demo", "app": p.app, "version": p.version,
	}}}
}

func (id identity) tags(p proxy) list {
	if id == istio {
		return list{}
	}
	tags := id.tcpTags(p)
	if p.role != server {
		return tags
	}
	for _, name := range []string{"app", "version"} { // the filter state has the workload
		tags = append(tags, object{"tag": "source_" + name, "request_header": object{
			"name": peerHeader + "-" + name, "default_value": "unknown",
		}})
	}
	return tags
}

// tcpTags are what there is without headers: a server is not told who calls.
func (id identity) tcpTags(p proxy) list {
	if id == istio {
		return list{}
	}
	side := p.role.reporter()
	tags := list{literal("reporter", side), literal("destination_service", serviceHost)}
	for _, own := range [][2]string{{"workload", p.workload()}, {"workload_namespace", "demo"}, {"app", p.app}, {"version", p.version}} {
		name, value := own[0], own[1]
		tags = append(tags, literal(side+"_"+name, value))
		if p.role != server {
			tags = append(tags, object{"tag": "destination_" + name, "metadata": object{
				"kind": object{"host": object{}}, "default_value": "unknown",
				"metadata_key": object{"key": "istio", "path": list{object{"key": name}}},
			}})
		}
	}
	return tags
}

func literal(tag, value string) object {
	return object{"tag": tag, "literal": object{"value": value}}
}
