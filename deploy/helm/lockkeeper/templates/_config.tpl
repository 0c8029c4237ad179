{{- /* What the chart itself says: everybody in the pod's network may connect (the NetworkPolicy says who gets there), and which extensions run. */ -}}
{{- define "lockkeeper.config" -}}
{{- $gateway := eq .Values.role "gateway" -}}
{{- $extensions := ternary (list "file_storage" "plugins" "alerting" "failover") (list "failover") $gateway -}}
{{- if .Values.cluster.enabled }}{{ $extensions = append $extensions "cluster" }}{{ end -}}
{{- if .Values.xds.enabled }}{{ $extensions = append $extensions "xds" }}{{ end -}}
{{- if .Values.dns.enabled }}{{ $extensions = append $extensions "dns" }}{{ end -}}
{{- $extensions = append $extensions "console" -}}
{{- if $gateway }}
receivers:
  envoy: {endpoint: "0.0.0.0:9001"}
  otlp: {protocols: {grpc: {endpoint: "0.0.0.0:4317"}, http: {endpoint: "0.0.0.0:4318"}}}
{{- else }}
# It starts from nothing (--no-default): a witness has neither a storage nor plugins.
receivers:
  probes: {flush_interval: 15s}
processors:
  memory_limiter: {check_interval: 1s, limit_percentage: 50}
exporters:
  debug: {}   # what is measured can be scraped at port 8888
{{- end }}
extensions:
  console: {endpoint: "0.0.0.0:7070"}
{{- if not $gateway }}
  failover: {mode: observe, data_directory: "${env:LOCKKEEPER_DATA}/failover"}
{{- end }}
{{- if and $gateway .Values.rules.enabled }}
  plugins: {processes: {rules: {kind: alerting, config: {files: ["/usr/share/lockkeeper/rules/*.yaml"]}}}}
{{- end }}
{{- if .Values.cluster.enabled }}
  cluster:
    name: "${env:POD_NAME}.{{ required "cluster.site is missing: one of failover::sites" .Values.cluster.site }}"
    site: {{ .Values.cluster.site | quote }}
    endpoint: "0.0.0.0:7946"
    advertise: {{ default "${env:POD_IP}:7946" .Values.cluster.advertise | quote }}
    join: {{ concat (list (printf "%s-pods.%s.svc:7946" (include "lockkeeper.fullname" .) .Release.Namespace)) .Values.cluster.join | toJson }}
    keys: ["${env:GOSSIP_KEY}"]
{{- end }}
{{- if .Values.xds.enabled }}
  xds: {endpoint: "0.0.0.0:18000"}
{{- end }}
{{- if .Values.dns.enabled }}
  dns: {endpoint: "0.0.0.0:8053"}
{{- end }}
service:
  telemetry:
    {{- if not $gateway }}
    logs: {level: warn, encoding: console, disable_caller: true, disable_stacktrace: true, disable_zap_resource: true}
    {{- end }}
    metrics: {readers: [{pull: {exporter: {prometheus: {host: 0.0.0.0, port: 8888, without_scope_info: true, without_units: true, without_type_suffix: true}}}}]}
  extensions: {{ $extensions | toJson }}
{{- if not $gateway }}
  pipelines:
    metrics: {receivers: [probes], processors: [memory_limiter], exporters: [debug]}
{{- end }}
{{- end -}}

{{- define "lockkeeper.files" -}}
{{- /* A ConfigMap is for everybody to read who sees the namespace. */ -}}
{{- range dig "extensions" "console" "tokens" list .Values.config }}{{ if not (contains "${" (toString .token)) }}{{ fail (printf "config.extensions.console.tokens: that of %v is in plain text, and config becomes a ConfigMap: give it by reference, as ${env:TOKEN} with env, or ${file:PATH} with secrets" .name) }}{{ end }}{{ end -}}
{{- range dig "extensions" "cluster" "keys" list .Values.config }}{{ if not (contains "${" (toString .)) }}{{ fail "config.extensions.cluster.keys: one is in plain text, and config becomes a ConfigMap: use cluster.keySecret" }}{{ end }}{{ end -}}
{{- range $name := list "chart.yaml" "lockkeeper.yaml" }}{{ if hasKey $.Values.files $name }}{{ fail (printf "files: %s is the chart's own: choose another name" $name) }}{{ end }}{{ end -}}
chart.yaml: |
  {{- include "lockkeeper.config" . | trim | nindent 2 }}
lockkeeper.yaml: |
  {{- toYaml .Values.config | nindent 2 }}
{{- range $name, $text := .Values.files }}
{{ $name }}: {{ $text | toJson }}
{{- end }}
{{- end -}}
