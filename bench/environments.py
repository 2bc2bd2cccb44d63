"""Cached virtual environments for programs that the product does not depend on."""

import os
import subprocess
import sys
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "assister-bench"


class NotInstalled(Exception):
    """The packages could not be installed; the text says why."""


def programs(wanted: Path) -> Path:
    """Makes an environment unless it exists; returns the folder of its Python and programs.

    Args:
        wanted: The file that lists the packages; the environment has its name.
    """
    folder = CACHE / wanted.stem
    made = folder / "made.txt"
    if not made.exists() or made.read_bytes() != wanted.read_bytes():
        _run(sys.executable, "-m", "venv", "--clear", "--without-pip", folder)
        pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", folder / "bin/python"]
        quiet = ["--quiet", "--disable-pip-version-check"]
        _run(*pip, "install", *quiet, "--requirement", wanted)
        made.write_bytes(wanted.read_bytes())
    return folder / "bin"


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise NotInstalled(done.stderr.strip().rpartition("\n")[2])
