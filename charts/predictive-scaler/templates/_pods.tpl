{{- /* How the pods are replaced. A cache that serves one pod is free only after the old one has ended. */ -}}
{{- define "predictive-scaler.strategy" -}}
{{- if .Values.updateStrategy -}}
{{- toYaml .Values.updateStrategy -}}
{{- else if .Values.models.cache.persistentVolumeClaim -}}
type: Recreate
{{- else -}}
type: RollingUpdate
rollingUpdate:
  maxSurge: 1
  maxUnavailable: 0
{{- end -}}
{{- end -}}

{{- /* How they are spread; of the pods of one upgrade only, so that those that are about to go do not count. */ -}}
{{- define "predictive-scaler.topologySpreadConstraints" -}}
{{- $own := dict "labelSelector" (dict "matchLabels" (include "predictive-scaler.selector" . | fromYaml)) "matchLabelKeys" (list "pod-template-hash") -}}
{{- range .Values.topologySpreadConstraints }}
- {{ toYaml (hasKey . "labelSelector" | ternary . (merge (deepCopy .) $own)) | nindent 2 | trim }}
{{- end }}
{{- end -}}

{{- /* Where the certificate lies with which KEDA's external scaler is served. */ -}}
{{- define "predictive-scaler.kedaTls" -}}/etc/predictive-scaler/keda-tls{{- end -}}
