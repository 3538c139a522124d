{{- /* The name of everything in this release. */ -}}
{{- define "predictive-scaler.name" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* The ServiceAccount that the controller runs as. */ -}}
{{- define "predictive-scaler.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "predictive-scaler.name" .) -}}
{{- end -}}

{{- /* What never changes in the life of a release, as selectors need it. */ -}}
{{- define "predictive-scaler.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "predictive-scaler.labels" -}}
{{ include "predictive-scaler.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* The controller's image, by its digest where one is given. */ -}}
{{- define "predictive-scaler.image" -}}
{{- with .Values.image -}}
{{- $tag := printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- empty .digest | ternary $tag (printf "%s@%s" .repository .digest) -}}
{{- end -}}
{{- end -}}

{{- /* Where the controller answers, within the cluster. */ -}}
{{- define "predictive-scaler.address" -}}
http://{{ include "predictive-scaler.name" . }}.{{ .Release.Namespace }}:{{ .Values.service.port }}
{{- end -}}
