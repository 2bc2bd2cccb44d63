"""Serves the doors: ``python -m gateway``."""

import asyncio
import sys

from gateway.server import serve
from settings import Misconfigured, load, take_no_arguments
from telemetry import configure_logging

if __name__ == "__main__":
    take_no_arguments(
        "python -m gateway", "Serves the web pages and the HTTP interface until SIGTERM or Ctrl-C."
    )
    try:
        settings = load()
        configure_logging()
        asyncio.run(serve(settings))
    except Misconfigured as fault:
        sys.stderr.write(f"{fault}\n")
        sys.exit(2)
