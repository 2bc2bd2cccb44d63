"""Makes the README's picture from a real run of the demo."""

import asyncio
from pathlib import Path

from rich.console import Console

import console
from embedded.demo import run_demo


def main() -> None:
    """Runs the demo and keeps what a terminal would show of it."""
    console.out = Console(record=True, width=118, force_terminal=True)
    asyncio.run(run_demo(keep=False))
    picture = Path(__file__).parent / "demo.svg"
    picture.write_text(console.out.export_svg(title="make demo"))


if __name__ == "__main__":
    main()
