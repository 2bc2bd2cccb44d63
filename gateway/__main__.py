"""Serves the doors: ``python -m gateway``."""

import asyncio
import sys

from gateway.server import serve
from settings import Misconfigured, load
from telemetry import configure_logging

if __name__ == "__main__":
    try:
        settings = load()
        configure_logging()
        asyncio.run(serve(settings))
    except Misconfigured as fault:
        sys.stderr.write(f"{fault}\n")
        sys.exit(2)
