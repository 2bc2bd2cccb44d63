"""Serves the doors: ``python -m gateway``."""

import asyncio

from gateway.server import serve
from settings import Settings
from telemetry import configure_logging

if __name__ == "__main__":
    configure_logging()
    asyncio.run(serve(Settings()))
