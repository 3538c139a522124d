{{- /* What no schema can tell: values that contradict each other. One sentence each, with the cure. */ -}}
{{- define "predictive-scaler.checks" -}}
{{- if and .Values.models.cache.persistentVolumeClaim (gt (int .Values.replicas) 1) -}}
{{- fail "models.cache.persistentVolumeClaim keeps the models of one controller: set replicas=1, or leave the claim out, and each replica has a cache of its own" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled -}}
{{- fail "metrics.serviceMonitor and metrics.podMonitor scrape the same, so that each series would come twice: enable one of them" -}}
{{- end -}}
{{- if and .Values.keda.enabled (eq (int .Values.keda.port) (int .Values.service.port)) -}}
{{- fail "keda.port and service.port are the same: KEDA needs a port of its own, such as 9091" -}}
{{- end -}}
{{- end -}}
