{{- /* All that the controller may do; tests/e2e hold it to these rules and these rules to it. */ -}}
{{- define "predictive-scaler.rules" -}}
# Know the PredictiveScalers.
- apiGroups: [predictivescaler.dev]
  resources: [predictivescalers]
  verbs: [get, list, watch]
# Report on them.
- apiGroups: [predictivescaler.dev]
  resources: [predictivescalers/status]
  verbs: [patch]
# Scale any kind that has a size, known today or not; grants nothing else of the objects.
- apiGroups: ["*"]
  resources: ["*/scale"]
  verbs: [get, patch]
# Find another autoscaler that owns a target, and not fight it.
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list]
{{- if .Values.rbac.hpa }}
# Raise the floor of one that a targetRef names, and give it back.
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, patch]
{{- end }}
{{- if .Values.rbac.workloads }}
# See how many replicas are ready, and whose field their number is.
- apiGroups: [apps]
  resources: [deployments, statefulsets, replicasets]
  verbs: [get]
{{- end }}
# Tell what changed and why.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- if .Values.rbac.pods }}
# Learn how long a replica takes to be ready, where forecast.leadTime is auto.
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
{{- end }}
{{- if .Values.rbac.secrets }}
# Log in to Prometheus as metric.prometheus.auth and .tls say.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- end }}
{{- end -}}
