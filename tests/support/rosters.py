"""Rosters as agencies send them."""

from datetime import UTC, datetime
from pathlib import Path

HEADER = (
    "First Name,Last Name,Email,Training ID,Current Employment Status,Assister Portal Access,"
    "Public-Facing Phone Number,Public-Facing Email"
)
NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
ROW = "Ann,Lee,ann@x.org,ABC1234,Active,Yes,651-555-0142,help@x.org"


def write(folder: Path, text: str | bytes, name: str = "roster.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path
