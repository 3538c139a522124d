{{- /* Where models from elsewhere are kept, and where the logins of registries lie. */ -}}
{{- define "predictive-scaler.modelsCache" -}}/var/cache/predictive-scaler/models{{- end -}}
{{- define "predictive-scaler.registryLogins" -}}/etc/predictive-scaler/registries{{- end -}}
