{{- /* Metadata of what is there for others to find by its labels. Takes `root`, `values`, and `path` of a file. */ -}}
{{- define "predictive-scaler.foundMetadata" -}}
{{- $name := include "predictive-scaler.name" .root -}}
{{- with .path }}{{- $name = printf "%s-%s" ($name | trunc 40 | trimSuffix "-") (base . | trimSuffix (ext .)) -}}{{- end -}}
name: {{ $name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- merge (deepCopy .values.labels) (include "predictive-scaler.labels" .root | fromYaml) | toYaml | nindent 2 }}
{{- with .values.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* How ServiceMonitor and PodMonitor scrape. */ -}}
{{- define "predictive-scaler.scrape" -}}
- port: http
  path: /metrics
  honorLabels: true  # a scaler's series have the namespace of the scaler, and not that of the pod
  {{- with .interval }}
  interval: {{ . }}
  {{- end }}
  {{- with .scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  {{- with .relabelings }}
  relabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- /* A file of this chart as it is - Prometheus and Grafana have templates of their own in it - but for where the runbooks
are. Takes `root` and `path`. */ -}}
{{- define "predictive-scaler.file" -}}
{{- $text := .root.Files.Get .path -}}
{{- with .root.Values.metrics.prometheusRule.runbookUrl -}}
{{- $text = regexReplaceAll `docs/runbooks/(\w+)\.md` $text (. | replace "$" "$$" | replace "{alert}" "${1}") -}}
{{- end -}}
{{- $text -}}
{{- end -}}
