# testlab-mcp with what uv.lock names for running, by hash, for a user who is not root.
#
#   docker build --tag testlab-mcp .
#   docker run --rm -i testlab-mcp serve --demo
#   docker run --rm -i -v ./testlab.toml:/testlab.toml:ro -v testlab-data:/data testlab-mcp serve --config /testlab.toml

FROM python:3.13-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1
RUN pip install uv==0.13.8
WORKDIR /source
COPY pyproject.toml uv.lock ./
RUN uv export --quiet --frozen --no-default-groups --extra telemetry --no-emit-project --output-file /runtime.txt \
 && uv venv /opt/testlab \
 && uv pip sync --python /opt/testlab/bin/python --require-hashes /runtime.txt
# The wheel is built by the hatchling that is locked.
RUN uv export --quiet --frozen --only-group build --output-file /build.txt \
 && uv venv /opt/build \
 && uv pip sync --python /opt/build/bin/python --require-hashes /build.txt
COPY README.md LICENSE ./
COPY server server
COPY tools tools
RUN uv build --wheel --no-build-isolation --python /opt/build/bin/python --out-dir /wheels \
 && uv pip install --python /opt/testlab/bin/python --no-deps --no-index /wheels/*.whl

# The slim image has the system's CA certificates.
FROM python:3.13-slim-trixie
RUN useradd --uid 10001 --home-dir /data --no-create-home testlab \
 && install --directory --owner testlab --mode 0700 /data
COPY --from=build /opt/testlab /opt/testlab
# Deliveries, the audit, history, saved files and the cache are below /data: keep it on a volume.
ENV PATH=/opt/testlab/bin:$PATH XDG_DATA_HOME=/data
USER 10001
# A server over HTTP is asked whether it is well: TESTLAB_HEALTH=http://127.0.0.1:8000/healthz. One over stdio is not.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-c", \
  "import os, urllib.request as web; url = os.environ.get('TESTLAB_HEALTH'); url and web.urlopen(url, timeout=4)"]
WORKDIR /data
ENTRYPOINT ["testlab-mcp"]
