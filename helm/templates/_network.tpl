{{/* Rules of egress, each an item of a list. */}}

{{- define "commdesk.dnsEgress" -}}
- {{ with .Values.networkPolicy.dns }}to:
    {{- toYaml . | nindent 4 }}
  {{ end }}ports: [{ port: 53, protocol: UDP }, { port: 53, protocol: TCP }]
{{- end }}

{{/* Takes a port and peers; no peers are all. */}}
{{- define "commdesk.engineEgress" -}}
- {{ with .peers }}to:
    {{- toYaml . | nindent 4 }}
  {{ end }}ports: [{ port: {{ .port | int }}, protocol: TCP }]
{{- end }}
