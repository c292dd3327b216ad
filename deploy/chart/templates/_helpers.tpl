{{/*
Names are fixed: trust policies in AWS, Secrets, the documents and upgrades from deploy/install.yaml depend on them. So there is
no nameOverride.
*/}}

{{/* What selects the pods. */}}
{{- define "ecr.selectorLabels" -}}
app.kubernetes.io/name: ecr-secret-operator
control-plane: controller-manager
{{- end }}

{{/* The labels of every object but the CRDs. */}}
{{- define "ecr.labels" -}}
{{ include "ecr.selectorLabels" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "ecr-secret-operator-%s" .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{- end }}

{{/* The Deployment's name, and the service account's when nobody chooses another. */}}
{{- define "ecr.workload" -}}
ecr-secret-operator-controller-manager
{{- end }}

{{- define "ecr.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "ecr.workload" .) }}
{{- end }}

{{/* The operator signs its certificate for this name, so it is fixed as well. */}}
{{- define "ecr.metricsService" -}}
ecr-secret-operator-controller-manager-metrics-service
{{- end }}

{{- define "ecr.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default (printf "v%s" .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* What the operator must be allowed in every namespace that it watches. */}}
{{- define "ecr.tenantRules" -}}
- apiGroups:
    - ecr.mobb.redhat.com
  resources:
    - secrets
    - argohelmreposecrets
  verbs:
    - get
    - list
    - watch
- apiGroups:
    - ecr.mobb.redhat.com
  resources:
    - secrets/status
    - argohelmreposecrets/status
  verbs:
    - patch
- apiGroups:
    - ""
  resources:
    - secrets
  verbs:
    - get
    - list
    - watch
    - create
    - patch
    - delete
- apiGroups:
    - ""
  resources:
    - serviceaccounts
  verbs:
    - get
    - list
    - watch
    - patch
- apiGroups:
    - ""
  resources:
    - configmaps
  verbs:
    - get
    - list
    - watch
- apiGroups:
    - events.k8s.io
  resources:
    - events
  verbs:
    - create
    - patch
{{- end }}

{{/* The subject of every binding. */}}
{{- define "ecr.subjects" -}}
- kind: ServiceAccount
  name: {{ include "ecr.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* The limits as the operator reads them. A number of a values file is a float, which would be printed as 5e+07. */}}
{{- define "ecr.policyLimits" -}}
{{- if kindIs "map" .Values.policy.limits -}}
{{- $limits := list }}
{{- range $name, $value := .Values.policy.limits }}
{{- $limits = append $limits (printf "%s=%s" $name (kindIs "float64" $value | ternary (printf "%d" (int64 $value)) (toString $value))) }}
{{- end }}
{{- join "," $limits }}
{{- else -}}
{{ .Values.policy.limits | default "" }}
{{- end }}
{{- end }}

{{/* The environment that the chart sets. What has the operator's own default is left out, so that it has one place. */}}
{{- define "ecr.ownEnv" -}}
- name: WATCH_NAMESPACE
  value: {{ join "," .Values.watchNamespaces | quote }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: POLICY_CACHE_DIR
  value: /var/cache/ecr-secret-operator
{{- if .Values.policy.guardrail.configMap }}
- name: POLICY_GUARDRAIL_DIR
  value: /etc/ecr-secret-operator/guardrail
{{- end }}
{{- with .Values.aws.credentialsSecret }}
- name: AWS_CONFIG_FILE
  value: /var/run/secrets/aws/credentials
- name: AWS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef:
      name: {{ . | quote }}
      key: aws_access_key_id
      optional: true
- name: AWS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef:
      name: {{ . | quote }}
      key: aws_secret_access_key
      optional: true
{{- end }}
{{- with .Values.aws.region }}
- name: AWS_REGION
  value: {{ . | quote }}
{{- end }}
{{- with .Values.aws.roleArn }}
- name: AWS_ROLE_ARN
  value: {{ . | quote }}
- name: AWS_WEB_IDENTITY_TOKEN_FILE
  value: /var/run/secrets/openshift/serviceaccount/token
{{- end }}
{{- if ne .Values.logLevel "info" }}
- name: LOG_LEVEL
  value: {{ .Values.logLevel | quote }}
{{- end }}
{{- if ne .Values.logFormat "json" }}
- name: LOG_FORMAT
  value: {{ .Values.logFormat | quote }}
{{- end }}
{{- if ne (int .Values.maxConcurrentReconciles) 32 }}
- name: MAX_CONCURRENT_RECONCILES
  value: {{ int .Values.maxConcurrentReconciles | quote }}
{{- end }}
{{- with include "ecr.policyLimits" . }}
- name: POLICY_LIMITS
  value: {{ . | quote }}
{{- end }}
{{- with .Values.policy.registries }}
- name: POLICY_REGISTRIES
  value: {{ join "," . | quote }}
{{- end }}
{{- if not .Values.metrics.enabled }}
# On the loopback interface the operator asks nobody, and only its own pod gets there.
- name: METRICS_ADDR
  value: 127.0.0.1:8443
{{- else }}
{{- if ne (int .Values.metrics.port) 8443 }}
- name: METRICS_ADDR
  value: {{ printf "0.0.0.0:%d" (int .Values.metrics.port) | quote }}
{{- end }}
{{- if not .Values.metrics.auth }}
- name: METRICS_AUTH
  value: "false"
{{- end }}
{{- if .Values.metrics.certSecret }}
- name: METRICS_CERT_DIR
  value: /etc/ecr-secret-operator/metrics-tls
{{- end }}
{{- end }}
{{- end }}

{{/* The whole environment. A name must not come twice: a server-side apply refuses the list. */}}
{{- define "ecr.env" -}}
{{- $extra := .Values.extraEnv | default list }}
{{- $names := list }}
{{- range $extra }}{{ $names = append $names .name }}{{ end }}
{{- $env := list }}
{{- range include "ecr.ownEnv" . | fromYamlArray }}
{{- if not (has .name $names) }}{{ $env = append $env . }}{{ end }}
{{- end }}
{{- toYaml (concat $env $extra) }}
{{- end }}

{{/* Values that are good one by one and make no sense together. */}}
{{- define "ecr.check" -}}
{{- $metrics := .Values.metrics }}
{{- if and .Values.aws.roleArn (not .Values.aws.webIdentity.enabled) }}
{{- fail "aws.roleArn needs the token of aws.webIdentity; set aws.webIdentity.enabled" }}
{{- end }}
{{- range $name := list "serviceMonitor" "prometheusRule" "dashboard" }}
{{- if and (index $metrics $name "enabled") (not $metrics.enabled) }}
{{- fail (printf "metrics.%s has nothing to show without metrics; set metrics.enabled" $name) }}
{{- end }}
{{- end }}
{{- if eq (int $metrics.port) 8081 }}
{{- fail "metrics.port is 8081, where the operator answers kubelet; choose another" }}
{{- end }}
{{- $monitor := $metrics.serviceMonitor }}
{{- if and $monitor.enabled $metrics.certSecret $monitor.namespace (ne $monitor.namespace .Release.Namespace) (not $monitor.tlsConfig) }}
{{- fail "metrics.serviceMonitor.namespace is another one than that of metrics.certSecret, whose ca.crt it would need; set metrics.serviceMonitor.tlsConfig" }}
{{- end }}
{{- if .Values.podDisruptionBudget.enabled }}
{{- $replicas := int .Values.replicaCount }}
{{- $available := toString .Values.podDisruptionBudget.minAvailable }}
{{- if hasSuffix "%" $available }}
{{- $available = divf (mulf (trimSuffix "%" $available) $replicas) 100 | ceil | int }}
{{- end }}
{{- if ge (int $available) $replicas }}
{{- fail (printf "podDisruptionBudget.minAvailable %v of replicaCount %d would block every drain of a node; set replicaCount to %d at least, or minAvailable to less" .Values.podDisruptionBudget.minAvailable $replicas (max 2 (add1 (int $available)))) }}
{{- end }}
{{- end }}
{{- end }}
