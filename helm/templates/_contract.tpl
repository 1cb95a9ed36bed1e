{{/* What the contract says of the services and the edge; values cannot change it. */}}
{{- define "commdesk.contract" -}}
{{ .Files.Get "files/services.yaml" }}
{{- end }}

{{- define "commdesk.edgeContract" -}}
{{ .Files.Get "files/edge.yaml" }}
{{- end }}

{{/* What a deployment says of one service: `service`, with the service's own row over it. Takes root and name. */}}
{{- define "commdesk.row" -}}
{{ mergeOverwrite (deepCopy .root.Values.service) (deepCopy (get .root.Values.services .name | default dict)) | toYaml }}
{{- end }}

{{/* Refuses names that no service, caller or setting has: they would have no effect. */}}
{{- define "commdesk.checkNames" -}}
{{- $contract := include "commdesk.contract" . | fromYaml }}
{{- $services := keys $contract.services }}
{{- $edge := include "commdesk.edgeContract" . | fromYaml }}
{{- range $where, $names := dict
    "services" (keys .Values.services)
    "settings" (without (keys .Values.settings) "all")
    "image.digests" (keys .Values.image.digests)
    "networkPolicy.egress" (without (keys .Values.networkPolicy.egress) "all") }}
{{- range $name := $names }}
{{- if not (has $name $services) }}
{{- fail (printf "%s.%s: there is no service %s" $where $name $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name := keys .Values.networkPolicy.callers }}
{{- if not (has $name $contract.outsideCallers) }}
{{- fail (printf "networkPolicy.callers.%s: the contract allows %s no call" $name $name) }}
{{- end }}
{{- end }}
{{- range $name := keys .Values.edge.settings }}
{{- if or (eq $name "TRUSTED_PROXY_HOPS") (not (has $name $edge.settings)) }}
{{- fail (printf "edge.settings.%s: traefik/dynamic.yml takes no such variable (TRUSTED_PROXY_HOPS is edge.trustedProxyHops)" $name) }}
{{- end }}
{{- end }}
{{- if gt (len .Release.Name) 34 }}
{{- fail "the name of the release may have 34 characters: names of objects begin with it" }}
{{- end }}
{{- if and .Values.secrets.external.enabled .Values.parts.shared .Values.parts.services }}
{{- fail "secrets.external: install the part `shared` as a release of its own, before the services: their migrations need the secrets" }}
{{- end }}
{{- if and .Values.secrets.external.enabled (not .Values.secrets.external.store.name) }}
{{- fail "secrets.external.store.name: the name of the store, please" }}
{{- end }}
{{- end }}
