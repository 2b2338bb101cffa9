# llamalet in a container, for amd64 (with AVX2) and arm64. docs/service.md says how to run it.
#
#   docker build -t llamalet .
#   docker run -p 127.0.0.1:8788:8788 -v llamalet:/models -e LLAMALET_TOKEN llamalet

FROM python:3.13-slim AS wheels

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*

# An index of prebuilt wheels of llama-cpp-python saves the build. What is built is for every CPU that the image may meet,
# not for the one that builds it.
ARG LLAMALET_WHEEL_INDEX=
ENV CMAKE_ARGS=-DGGML_NATIVE=OFF
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels "llama-cpp-python>=0.3.36,<0.4" \
    ${LLAMALET_WHEEL_INDEX:+--only-binary llama-cpp-python --extra-index-url "$LLAMALET_WHEEL_INDEX"}

WORKDIR /source
COPY pyproject.toml README.md LICENSE NOTICE models.toml ./
COPY grammars grammars
COPY runtime runtime
RUN pip wheel --no-cache-dir --find-links /wheels --wheel-dir /wheels .


FROM python:3.13-slim

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*

# hadolint ignore=DL3013
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels llamalet

RUN useradd --system --uid 10001 --home-dir /models --create-home llamalet
USER 10001
WORKDIR /models
VOLUME /models

# Beyond localhost the server wants a token: LLAMALET_TOKEN, or a file that LLAMALET_TOKEN_FILE names.
ENV HOME=/models HF_HOME=/models/huggingface LLAMALET_HOST=0.0.0.0 PYTHONUNBUFFERED=1
EXPOSE 8788
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["python", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8788, timeout=5); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
# Its answers have 30 seconds to end: docker stop --time 40.
STOPSIGNAL SIGTERM
ENTRYPOINT ["llamalet"]
CMD ["serve"]
