# A farm of mock ComfyUI servers: docs/docker.md.
# Any image with Python 3.11 to 3.13 and venv.
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS build
# "[frontend]" adds ComfyUI's own page.
ARG EXTRAS=""
COPY pyproject.toml README.md LICENSE /src/
COPY farm /src/farm
# Whoever runs the farm may not write twistd's cache of plugins: plugins/dropin.cache.
RUN python3 -m venv /opt/comfyfarm \
    && /opt/comfyfarm/bin/pip install --no-cache-dir --disable-pip-version-check "/src${EXTRAS}" \
    && /opt/comfyfarm/bin/python -c "from twisted.plugin import IPlugin, getPlugins; list(getPlugins(IPlugin))" \
    && /opt/comfyfarm/bin/pip uninstall --yes --quiet pip setuptools

FROM ${BASE}
COPY --from=build /opt/comfyfarm /opt/comfyfarm
# Ports are published by whoever runs the image, so that localhost is the host of their URLs.
# From the ready file the health check knows port and token.
ENV PATH=/opt/comfyfarm/bin:$PATH \
    COMFYFARM_HOST=0.0.0.0 \
    COMFYFARM_ADVERTISE_HOST=localhost \
    COMFYFARM_READY_FILE=/tmp/comfyfarm-ready.json
WORKDIR /farm
USER 10001:10001
EXPOSE 8180 8188
HEALTHCHECK --interval=5s --timeout=15s --start-period=60s --retries=6 \
    CMD ["comfyfarm", "status", "--wait", "--timeout", "5"]
ENTRYPOINT ["comfyfarm", "run"]
