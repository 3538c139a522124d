# Two images. The last, the default, is the controller and nothing else: no compiler, no training library, no root.
# `docker build --target training` is what the chart's training Jobs run.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
RUN python -m venv /opt/predictive-scaler
COPY requirements-controller.lock .
RUN /opt/predictive-scaler/bin/pip install --no-cache-dir --only-binary=:all: --require-hashes -r requirements-controller.lock

FROM ${PYTHON_IMAGE} AS build-training
WORKDIR /src
RUN python -m venv /opt/predictive-scaler
COPY requirements-training.lock .
RUN /opt/predictive-scaler/bin/pip install --no-cache-dir --only-binary=:all: --require-hashes -r requirements-training.lock

FROM ${PYTHON_IMAGE} AS training
LABEL org.opencontainers.image.title="predictive-scaler-training" \
      org.opencontainers.image.licenses="Apache-2.0"
# LightGBM's wheel wants the system's OpenMP.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends libgomp1 \
  && rm -rf /var/lib/apt/lists/*
COPY --from=build-training /opt/predictive-scaler /opt/predictive-scaler
COPY controller /app/controller
COPY training /app/training
ENV PATH=/opt/predictive-scaler/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
WORKDIR /app
USER 65532:65532
ENTRYPOINT ["python", "-m", "training"]

FROM ${PYTHON_IMAGE} AS controller
LABEL org.opencontainers.image.title="predictive-scaler" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/predictive-scaler /opt/predictive-scaler
COPY controller /app/controller
COPY models /app/models
ENV PATH=/opt/predictive-scaler/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PREDICTIVE_SCALER_HTTP_ADDRESS=0.0.0.0:8080
WORKDIR /app
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["python", "-m", "controller"]
