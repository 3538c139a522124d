{{- define "predictive-scaler.crdMetadata" -}}
labels:
  {{- include "predictive-scaler.labels" . | nindent 2 }}
{{- if or .Values.crds.keep .Values.crds.annotations }}
annotations:
  {{- if .Values.crds.keep }}
  # With the CRD go all PredictiveScalers, so that neither an uninstall nor a rollback takes it away.
  helm.sh/resource-policy: keep
  {{- end }}
  {{- with .Values.crds.annotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}
