{{/* The name of a service's objects: <release>-<service>. Takes root and name. */}}
{{- define "commdesk.name" -}}
{{ .root.Release.Name }}-{{ .name }}
{{- end }}

{{/* What selects one service's pods of this release. Takes root and name. */}}
{{- define "commdesk.selector" -}}
app.kubernetes.io/part-of: commdesk
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- define "commdesk.labels" -}}
{{ include "commdesk.selector" . }}
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "commdesk.image" -}}
{{- $digest := get .root.Values.image.digests .name }}
{{- $image := printf "%s/%s" .root.Values.image.repository .name }}
{{- if $digest }}{{ $image }}@{{ $digest }}{{ else }}{{ $image }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* host:port of a service's gRPC endpoint: the headless service, whose name has the address of every replica. */}}
{{- define "commdesk.address" -}}
{{ include "commdesk.name" . }}-grpc.{{ .root.Release.Namespace }}.svc.{{ .root.Values.clusterDomain }}:9000
{{- end }}

{{/* The public host. */}}
{{- define "commdesk.host" -}}
{{ get (urlParse .Values.publicUrl) "hostname" }}
{{- end }}
