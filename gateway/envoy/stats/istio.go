package stats

import "strings"

// istioLabels are the labels of Istio's own metrics, which it embeds in names as .label.value.
func istioLabels() []string {
	labels := []string{
		"reporter", "request_protocol", "response_code", "grpc_response_status", "response_flags", "connection_security_policy",
		"destination_service", "destination_service_name", "destination_service_namespace", "component", "tag",
	}
	for _, side := range []string{"source_", "destination_"} {
		for _, what := range []string{"workload", "workload_namespace", "principal", "app", "version", "canonical_service", "canonical_revision", "cluster"} {
			labels = append(labels, side+what)
		}
	}
	return labels
}

// extractIstio splits the name of one of Istio's own metrics. The values have dots, so only known labels part them.
func extractIstio(name string) (string, []label) {
	labels := istioLabels()
	rest := name
	var found []label
	for {
		at, next := len(rest), ""
		for _, l := range labels {
			if i := strings.Index(rest, "."+l+"."); i >= 0 && i < at {
				at, next = i, l
			}
		}
		if len(found) == 0 {
			name = rest[:at]
		} else {
			found[len(found)-1].value = rest[:at]
		}
		if next == "" {
			return name, found
		}
		found = append(found, label{name: next})
		rest = rest[at+len(next)+2:]
	}
}
