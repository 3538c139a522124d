{{- /* The directory of the models in the containers, where a PersistentVolumeClaim holds them. */ -}}
{{- define "predictive-scaler.modelsDir" -}}/var/lib/predictive-scaler/models{{- end -}}

{{- /* The fleet file and its name: another file is another ConfigMap, so that no running pod sees it change. */ -}}
{{- define "predictive-scaler.fleet" -}}
{{- toYaml .Values.training.fleet -}}
{{- end -}}
{{- define "predictive-scaler.fleetName" -}}
{{- printf "%s-fleet-%s" (include "predictive-scaler.name" . | trunc 40 | trimSuffix "-") (include "predictive-scaler.fleet" . | sha256sum | trunc 8) -}}
{{- end -}}

{{- define "predictive-scaler.trainingLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-training
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* The Job that fits or retrains a fleet, a share of it in each pod. Takes `root` and `args`. */ -}}
{{- define "predictive-scaler.trainingJob" -}}
{{- $training := .root.Values.training -}}
completionMode: Indexed
completions: {{ $training.pods }}
parallelism: {{ $training.parallelism }}
# What is fitted stays: a pod that comes again does what is left of its share.
backoffLimitPerIndex: {{ $training.retries }}
activeDeadlineSeconds: {{ $training.deadlineSeconds }}
ttlSecondsAfterFinished: {{ $training.keepSeconds }}
podFailurePolicy:
  rules:
    # A node that is drained says nothing about the work.
    - action: Ignore
      onPodConditions:
        - type: DisruptionTarget
          status: "True"
    # A fleet file that cannot be meant is the same for every pod and every attempt.
    - action: FailJob
      onExitCodes:
        containerName: training
        operator: In
        values: [2]
template:
  metadata:
    labels:
      {{- include "predictive-scaler.trainingLabels" .root | nindent 6 }}
  spec:
    restartPolicy: Never
    # It asks Prometheus, and nothing of Kubernetes.
    automountServiceAccountToken: false
    enableServiceLinks: false
    securityContext:
      runAsNonRoot: true
      runAsUser: 65532
      runAsGroup: 65532
      fsGroup: 65532
      seccompProfile:
        type: RuntimeDefault
    {{- with .root.Values.imagePullSecrets }}
    imagePullSecrets:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    containers:
      - name: training
        image: {{ printf "%s:%s" $training.image.repository ($training.image.tag | default .root.Chart.AppVersion) | quote }}
        imagePullPolicy: {{ $training.image.pullPolicy }}
        args:
          {{- toYaml .args | nindent 10 }}
        env:
          # With the index that Kubernetes gives, the pod's share of the fleet.
          - name: JOB_COMPLETIONS
            value: {{ $training.pods | quote }}
        securityContext:
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities:
            drop: [ALL]
        resources:
          {{- toYaml $training.resources | nindent 10 }}
        volumeMounts:
          - name: fleet-models
            mountPath: {{ include "predictive-scaler.modelsDir" .root }}
          - name: fleet
            mountPath: /etc/predictive-scaler
            readOnly: true
          - name: tmp
            mountPath: /tmp
          {{- with $training.volumeMounts }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
    volumes:
      - name: fleet-models
        persistentVolumeClaim:
          claimName: {{ required "training writes models that outlive its pods: set models.persistentVolumeClaim" .root.Values.models.persistentVolumeClaim }}
      - name: fleet
        configMap:
          name: {{ include "predictive-scaler.fleetName" .root }}
      - name: tmp
        emptyDir:
          sizeLimit: 1Gi
      {{- with $training.volumes }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with .root.Values.nodeSelector }}
    nodeSelector:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .root.Values.tolerations }}
    tolerations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end -}}
