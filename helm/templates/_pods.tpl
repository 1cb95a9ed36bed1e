{{/* The parts of a pod that services and migrations have in common. */}}

{{/* Runs as nobody in particular, with no token for the cluster. Takes root. */}}
{{- define "commdesk.podSecurity" -}}
automountServiceAccountToken: false
# Variables of other services' addresses would only be in the way.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "commdesk.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{/* The settings of a service as a mapping: what the chart sets, over it what the deployment says. Takes root, name, facts. */}}
{{- define "commdesk.settings" -}}
{{- $root := .root }}
{{- $contract := include "commdesk.contract" $root | fromYaml }}
{{- $row := include "commdesk.row" . | fromYaml }}
{{- $settings := dict "PYTHONUNBUFFERED" "1" "MALLOC_ARENA_MAX" "2" }}
{{- $addresses := list }}
{{- range $callee, $facts := $contract.services }}
{{- $addresses = append $addresses $facts.addressVariable }}
{{- end }}
{{- range $callee := .facts.callees }}
{{- $variable := get (get $contract.services $callee) "addressVariable" }}
{{- $_ := set $settings $variable (include "commdesk.address" (dict "root" $root "name" $callee)) }}
{{- end }}
{{- $given := mergeOverwrite (deepCopy ($root.Values.settings.all | default dict)) (deepCopy (get $root.Values.settings .name | default dict)) }}
{{- $known := concat $contract.commonSettings .facts.settings $addresses }}
{{- range $variable, $value := $given }}
{{- if has $variable $contract.fixedSettings }}
{{- fail (printf "settings: %s is set by the chart" $variable) }}
{{- end }}
{{- if or (hasKey $.facts.secrets $variable) (hasKey $.facts.sharedSecrets $variable) }}
{{- fail (printf "settings: %s is a secret of %s; it belongs in a Secret" $variable $.name) }}
{{- end }}
{{- if not (has $variable $known) }}
{{- fail (printf "settings: %s has no setting %s (docs/reference/settings.md)" $.name $variable) }}
{{- end }}
{{- $_ := set $settings $variable (tpl $value $root) }}
{{- end }}
{{- range $variable := .facts.requiredSettings }}
{{- if and (eq $root.Values.environment "production") (not (get $settings $variable)) }}
{{- fail (printf "settings.%s.%s: production needs it" $.name $variable) }}
{{- end }}
{{- end }}
{{- $_ := set $settings "ENVIRONMENT" $root.Values.environment }}
{{- $_ := set $settings "HTTP_PORT" "8000" }}
{{- $_ := set $settings "GRPC_PORT" "9000" }}
{{- $_ := set $settings "POOL_SIZE" (toString $row.poolSize) }}
{{- $_ := set $settings "SHUTDOWN_GRACE_SECONDS" (toString $root.Values.shutdown.graceSeconds) }}
{{- /* By then no Service leads here; callers of gRPC, who keep their connections, are told now. */}}
{{- $_ := set $settings "SHUTDOWN_DRAIN_SECONDS" "2" }}
{{- $_ := set $settings "TRUSTED_PROXY_HOPS" (toString $root.Values.edge.trustedProxyHops) }}
{{- toYaml $settings }}
{{- end }}

{{/* Settings as the environment of a container, sorted. Takes a mapping. */}}
{{- define "commdesk.plainEnvironment" -}}
{{- range $variable := keys . | sortAlpha }}
- { name: {{ $variable }}, value: {{ get $ $variable | quote }} }
{{- end }}
{{- end }}

{{/* Secrets as the environment of a container. Takes the name of a Secret, and `keys`: variable to whether it must be there. */}}
{{- define "commdesk.secretEnvironment" -}}
{{- range $variable, $isRequired := .keys }}
- name: {{ $variable }}
  valueFrom: { secretKeyRef: { name: {{ $.secret }}, key: {{ $variable }}, optional: {{ not $isRequired }} } }
{{- end }}
{{- end }}

{{/* Both kinds of secrets of a service. Takes root, name, facts. */}}
{{- define "commdesk.serviceSecrets" -}}
{{- $prefix := .root.Values.secrets.prefix }}
{{- include "commdesk.secretEnvironment" (dict "secret" (printf "%s-shared" $prefix) "keys" .facts.sharedSecrets) }}
{{- include "commdesk.secretEnvironment" (dict "secret" (printf "%s-%s" $prefix .name) "keys" .facts.secrets) }}
{{- end }}
