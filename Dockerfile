# No Docker engine was at hand when this was written: checked by hadolint and by the tests, not run.
FROM python:3.13-slim-bookworm
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock \
    && useradd --system --uid 10001 --create-home assister
COPY . .
USER 10001
STOPSIGNAL SIGTERM
CMD ["python", "worker.py"]
