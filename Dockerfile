# One image for every program: the worker, the gateway, the commands. Built once, named in
# docker-compose.yml; `make compose-test` builds and runs it.
FROM python:3.13-slim-bookworm AS packages
WORKDIR /build
COPY requirements.lock pyproject.toml ./
# uv checks the hashes of what it installs against the lock; what only developers need is left out.
RUN sed -n '/^uv==/,/[^\\]$/p' requirements.lock > uv.lock \
    && python -m venv /opt/uv /opt/packages \
    && /opt/uv/bin/pip install --no-cache-dir --require-hashes --requirement uv.lock \
    && /opt/uv/bin/uv pip install --no-cache --system-certs --compile-bytecode \
        --python /opt/packages/bin/python --requirement pyproject.toml --constraint requirements.lock
COPY . /app
RUN /opt/packages/bin/python -m compileall -q /app

FROM python:3.13-slim-bookworm
ENV PATH=/opt/packages/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --system --uid 10001 --no-create-home assister
COPY --from=packages /opt/packages /opt/packages
COPY --from=packages /app /app
WORKDIR /app
USER 10001
STOPSIGNAL SIGTERM
CMD ["python", "worker.py"]
