# One image for each deployable, from the root of the checkout:
#
#   docker build --build-arg SERVICE=wallet --tag localhost/commdesk/wallet:dev .
#
# SERVICE is a folder below services/, or `sandbox` (the gateways' simulator), or `ops` (the operator's command line).
# The arguments are the console script's: nothing or `serve`, `migrate`. How to run one: docs/operating/images.md.

# The digest is the multi-architecture image of the tag. tests/images puts a base of the same distribution in its place.
ARG PYTHON_IMAGE=python:3.11.15-slim-bookworm@sha256:d29f48a31a8b408ed19272ca1e7b10ebae13b240a27e862d3d4217c528e2e0c3

# ── What is installed: the service and its closure, every file of it by a hash ──────────────────────────────────────

FROM ${PYTHON_IMAGE} AS builder
# For a build without a network: --no-index --find-links=/wheels
ARG INDEX_OPTIONS=""
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /build

# uv, which installs the rest, from the lock of the tools.
COPY requirements.lock requirements-dev.lock ./
# INDEX_OPTIONS are several words.
# hadolint ignore=SC2086
RUN awk '/^uv==/ {found = 1} found {print} found && !/\\$/ {exit}' requirements-dev.lock >uv.lock \
    && python3 -m venv /opt/tools \
    && /opt/tools/bin/pip install --quiet --no-cache-dir --require-hashes --no-deps ${INDEX_OPTIONS} -r uv.lock

# Wheels of this checkout, built by tools of the lock.
COPY protos protos
COPY libs libs
COPY services services
COPY sandbox sandbox
COPY ops ops
ARG SERVICE
# hadolint ignore=SC2086
RUN folder=services/${SERVICE}; [ -d "${folder}" ] || folder=${SERVICE}; \
    for source in protos libs/* "${folder}"; do \
        /opt/tools/bin/uv build --quiet --no-cache --wheel --out-dir wheels ${INDEX_OPTIONS} \
            --build-constraint requirements.lock --build-constraint requirements-dev.lock --require-hashes "${source}"; \
    done; \
    for wheel in wheels/*.whl; do \
        name=$(basename "${wheel}" | cut -d- -f1 | tr _ -); \
        printf '%s==0 --hash=sha256:%s\n' "${name}" "$(sha256sum "${wheel}" | cut -d' ' -f1)"; \
    done >local.lock

# What is not in one of the locks with its hash is refused: an index cannot answer for a name of ours either.
# The console script is the service's name, the operator's is `commdesk`; the link gives all of them one.
# hadolint ignore=SC2086
RUN /opt/tools/bin/uv venv --quiet --python "$(command -v python3)" /opt/commdesk \
    && grep "^commdesk-${SERVICE}==" local.lock >service.lock \
    && /opt/tools/bin/uv pip install --quiet --no-cache --compile-bytecode --python /opt/commdesk/bin/python \
        --require-hashes ${INDEX_OPTIONS} --find-links wheels \
        -c local.lock -c requirements.lock -c requirements-dev.lock -r service.lock \
    && script=${SERVICE}; [ "${SERVICE}" != ops ] || script=commdesk; \
    ln -s "${script}" /opt/commdesk/bin/entrypoint
COPY ops/image/healthcheck.py /opt/commdesk/healthcheck.py

# ── What runs ──────────────────────────────────────────────────────────────────────────────────────────────────────

FROM ${PYTHON_IMAGE}
ARG SERVICE
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="commdesk-${SERVICE}" \
      org.opencontainers.image.description="CommDesk Pay: ${SERVICE}" \
      org.opencontainers.image.vendor="CommDesk" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# What installs packages has no place in what runs.
RUN rm -rf /usr/local/lib/python3*/site-packages/* /usr/local/lib/python3*/ensurepip /usr/local/bin/pip* \
           /usr/lib/python3*/ensurepip /usr/share/python-wheels
COPY --from=builder /opt/commdesk /opt/commdesk

ENV PATH=/opt/commdesk/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2 \
    SENTRY_RELEASE=${VERSION} \
    BIND_HOST=0.0.0.0 \
    SANDBOX_HOST=0.0.0.0 \
    SANDBOX_PORT=8000

# A number, so that Kubernetes can see that it is not root. Nothing is written: the root may be read-only.
USER 10001:10001
WORKDIR /
EXPOSE 8000 9000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/opt/commdesk/bin/python", "-I", "/opt/commdesk/healthcheck.py"]
ENTRYPOINT ["/opt/commdesk/bin/entrypoint"]
