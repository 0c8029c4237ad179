{{- define "lockkeeper.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "lockkeeper.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "lockkeeper.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "lockkeeper.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "lockkeeper.selector" -}}
app.kubernetes.io/name: {{ include "lockkeeper.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "lockkeeper.labels" -}}
{{ include "lockkeeper.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "lockkeeper.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "lockkeeper.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "lockkeeper.image" -}}
{{- $repository := required "image.repository is missing: where your image is, such as registry.example.com/lockkeeper" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- /* The ports of the gateway, but for those of DNS and gossip: name, number, whose list of networkPolicy they are under, protocol to the mesh. */ -}}
{{- define "lockkeeper.ports" -}}
{{- if eq .Values.role "gateway" }}
- {name: grpc-envoy, port: 9001, peers: telemetry, appProtocol: grpc}
- {name: grpc-otlp, port: 4317, peers: telemetry, appProtocol: grpc}
- {name: http-otlp, port: 4318, peers: telemetry, appProtocol: http}
{{- end }}
{{- if .Values.xds.enabled }}
- {name: grpc-xds, port: 18000, peers: xds, appProtocol: grpc}
{{- end }}
- {name: {{ lower .Values.console.scheme }}-console, port: 7070, peers: console, appProtocol: {{ lower .Values.console.scheme }}}
- {name: http-metrics, port: 8888, peers: metrics, appProtocol: http}
{{- end -}}

{{- /* How a Service that other sites use is reached. Kubernetes refuses externalTrafficPolicy for a ClusterIP. */ -}}
{{- define "lockkeeper.reach" -}}
type: {{ .type }}
{{- if ne .type "ClusterIP" }}
externalTrafficPolicy: {{ .externalTrafficPolicy }}
{{- end }}
{{- with .loadBalancerIP }}
loadBalancerIP: {{ . | quote }}
{{- end }}
{{- end -}}
