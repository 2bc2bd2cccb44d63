"""Runs every target for some seconds, one after the other, and prints the finds.

    ./run fuzz [SECONDS] [TARGET …]

The input of each find is kept in ``.fuzz/``.
"""

import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.fuzz.targets import SEEDS, TARGETS

ROOT = Path(__file__).resolve().parent.parent.parent
KEPT = ROOT / ".fuzz"
SECONDS = 60
LIMITS = ("-timeout=10", "-rss_limit_mb=1500", "-max_len=4096", "-print_final_stats=1")
"""The limits of one input: its seconds, megabytes and length."""


def main(words: list[str]) -> int:
    """Runs the named targets, or all; returns 1 if there was a find."""
    try:
        import atheris  # noqa: F401
    except ImportError:
        sys.stderr.write("atheris is not installed: its wheels are for Linux on x86-64 only.\n")
        return 2
    seconds = next((int(word) for word in words if word.isdigit()), SECONDS)
    names = [word for word in words if not word.isdigit()] or list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        sys.stderr.write(f"no such target: {', '.join(unknown)}; there are {', '.join(TARGETS)}\n")
        return 2
    table = Table("parsers", "seconds", "inputs", "finds")
    finds = 0
    for name in names:
        inputs, found = _fuzz(name, seconds)
        table.add_row(name.replace("_", " "), str(seconds), f"{inputs:,}", str(found))
        finds += found
    Console().print(table)
    return 1 if finds else 0


def _fuzz(name: str, seconds: int) -> tuple[int, int]:
    corpus, log = KEPT / name / "corpus", KEPT / name / "log"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    before = _kept(name)
    command = [sys.executable, "-m", "tests.fuzz.one", name, f"-max_total_time={seconds}", *LIMITS]
    with log.open("wb") as output:
        subprocess.run(
            [*command, f"-artifact_prefix={KEPT / name}/", str(corpus)],
            cwd=ROOT,
            stdout=output,
            stderr=output,
            check=False,
        )
    executed = re.search(r"number_of_executed_units: (\d+)", log.read_text(errors="replace"))
    return int(executed[1]) if executed else 0, len(_kept(name) - before)


def _kept(name: str) -> set[Path]:
    return {
        each
        for kind in ("crash", "timeout", "oom", "leak", "slow-unit")
        for each in (KEPT / name).glob(f"{kind}-*")
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
