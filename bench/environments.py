"""Environments of their own for programs that the product does not depend on, kept in a cache."""

import os
import subprocess
import sys
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "assister-bench"


class NotInstalled(Exception):
    """What is needed could not be installed; the text says why."""


def programs(wanted: Path) -> Path:
    """The folder with Python and the programs of an environment, which is made where it is missing.

    Args:
        wanted: The file that lists what is to be in it; it names the environment.
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
