# Two images. The last, the default, is the controller and nothing else: no shell, no package manager, no compiler, no
# training library, no root. `--target training` is what the chart's training Jobs run, `--target sbom` the controller's
# bill of materials as a file. docs/guide/image.md tells how to build, pin and verify; docs/decisions/0021 why it is so.
ARG PYTHON_IMAGE=python:3.13-slim-trixie
ARG PYTHON_DIGEST=
# Below the controller: the same Python, and nothing that it does not need. Set empty digests to pin neither.
ARG RUNTIME_IMAGE=gcr.io/distroless/python3-debian13:nonroot
ARG RUNTIME_DIGEST=

FROM ${PYTHON_IMAGE}${PYTHON_DIGEST:+@${PYTHON_DIGEST}} AS installer
ENV PYTHONDONTWRITEBYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON=python3 \
    UV_SYSTEM_CERTS=1
# An index of your own in place of PyPI's, for pip and for uv.
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
WORKDIR /build
COPY requirements-setup.lock .
RUN python3 -m venv tools && tools/bin/pip install --no-cache-dir --only-binary=:all: --require-hashes -r requirements-setup.lock
ENV PATH=/build/tools/bin:$PATH

FROM installer AS build
ARG UV_DEFAULT_INDEX
COPY requirements-controller.lock .
RUN uv pip install --no-deps --only-binary=:all: --require-hashes --target root/opt/predictive-scaler/lib -r requirements-controller.lock
COPY controller root/app/controller
COPY models root/app/models
COPY LICENSE root/app/LICENSE
COPY image image
ARG VERSION=0.1.0
ARG REVISION=
ARG CREATED=
ARG RUNTIME_IMAGE
ARG RUNTIME_DIGEST
RUN python3 -m image root --version "$VERSION" --revision "$REVISION" --created "$CREATED" --base "$RUNTIME_IMAGE" --base-digest "$RUNTIME_DIGEST"

FROM scratch AS sbom
COPY --from=build /build/root/usr/local/share/sbom/predictive-scaler.cdx.json /

FROM installer AS build-training
ARG UV_DEFAULT_INDEX
COPY requirements-training.lock .
RUN uv pip install --compile-bytecode --no-deps --only-binary=:all: --require-hashes --target root/opt/predictive-scaler/lib -r requirements-training.lock

FROM ${PYTHON_IMAGE}${PYTHON_DIGEST:+@${PYTHON_DIGEST}} AS training
# LightGBM's wheel wants the system's OpenMP.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends libgomp1 \
  && rm -rf /var/lib/apt/lists/*
COPY --from=build-training /build/root/ /
COPY controller /app/controller
COPY training /app/training
ENV PYTHONPATH=/app:/opt/predictive-scaler/lib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
WORKDIR /app
USER 65532:65532
ENTRYPOINT ["python", "-m", "training"]
ARG PYTHON_IMAGE
ARG PYTHON_DIGEST
ARG SOURCE=
ARG VERSION=0.1.0
ARG REVISION=
ARG CREATED=
LABEL org.opencontainers.image.title="predictive-scaler-training" \
      org.opencontainers.image.description="Makes and judges the models that predictive-scaler forecasts with." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.base.name="$PYTHON_IMAGE" \
      org.opencontainers.image.base.digest="$PYTHON_DIGEST"

FROM ${RUNTIME_IMAGE}${RUNTIME_DIGEST:+@${RUNTIME_DIGEST}} AS runtime
USER 0:0
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONPATH=/app:/opt/predictive-scaler/lib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OPENBLAS_NUM_THREADS=1 \
    HOME=/tmp
# Bases bring their standard library as source, and below a read-only root each start would compile it anew. Without a
# check at run time: nobody can change a source there, and a layer need not keep the times of files.
RUN ["python", "-c", "import compileall, os, py_compile, sys; sys.exit(not compileall.compile_dir(os.path.dirname(os.__file__), quiet=1, force=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH))"]
# Builders make folders, and some of them what they copy into, as the user who is set; nobody at run time may own a part
# of the program. So whoever runs it is set last, in each stage below.
WORKDIR /app

# Does it run on this base? There the build ends where it does not; nothing of this stage but what was copied in goes on.
FROM runtime AS tried
COPY --from=build /build/root/ /
COPY image/smoke.py /opt/smoke/smoke.py
USER 65532:65532
ENV PYTHONPATH=/app:/opt/predictive-scaler/lib:/opt/smoke
RUN ["python", "-m", "smoke"]

FROM runtime AS controller
COPY --from=tried /opt/predictive-scaler /opt/predictive-scaler
COPY --from=tried /app /app
COPY --from=tried /usr/local/share/sbom /usr/local/share/sbom
USER 65532:65532
ENV PREDICTIVE_SCALER_HTTP_ADDRESS=:8080
EXPOSE 8080
ENTRYPOINT ["python", "-m", "controller"]
CMD []
ARG RUNTIME_IMAGE
ARG RUNTIME_DIGEST
ARG SOURCE=
ARG VERSION=0.1.0
ARG REVISION=
ARG CREATED=
LABEL org.opencontainers.image.title="predictive-scaler" \
      org.opencontainers.image.description="A Kubernetes autoscaler that adds replicas before the load arrives, and explains why." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.base.name="$RUNTIME_IMAGE" \
      org.opencontainers.image.base.digest="$RUNTIME_DIGEST"
