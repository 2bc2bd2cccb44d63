"""Provides the images that docker-compose.yml names: pulls them, or builds stand-ins."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = Path(os.environ.get("COMPOSE_TEST_CACHE", ROOT / ".compose-test"))
TARGETS = {
    "python": "python",
    "postgres": "postgres",
    "temporalio/admin-tools": "admin-tools",
    "temporalio/server": "server",
    "temporalio/ui": "ui",
    "axllent/mailpit": "mailpit",
}
"""The stage of the Dockerfile that stands in for each image."""
SERVER = "go.temporal.io/server@v1.31.2"
PROGRAMS = {
    "temporal-server": "go.temporal.io/server/cmd/server@v1.31.2",
    "temporal-sql-tool": "go.temporal.io/server/cmd/tools/sql@v1.31.2",
    "ui-server": "github.com/temporalio/ui-server/v2/cmd/server@v2.52.0",
    "mailpit": "github.com/axllent/mailpit@v1.27.11",
}
PACKAGES = {
    "python": "python3,python3-venv,python3-pip,ca-certificates",
    "services": "postgresql-17,netcat-openbsd,busybox,ca-certificates",
}
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def run(*words: object) -> str:
    """Runs a program; returns what it prints, while its errors go to the screen."""
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()


def provide(images: set[str]) -> set[str]:
    """Pulls or builds each image that is missing; returns the stand-ins."""
    return {name for name in images if not (_is_there(name) or _pulled(name)) and _built(name)}


def _is_there(image: str) -> bool:
    found = subprocess.run(
        ["docker", "image", "inspect", "--format", '{{index .Config.Labels "stand-in"}}', image],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.returncode == 0 and found.stdout.strip() != "yes"


def _pulled(image: str) -> bool:
    command = ["timeout", "300", "docker", "pull", "--quiet", image]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _built(image: str) -> bool:
    target = TARGETS[image.rpartition(":")[0]]
    root = "python" if target == "python" else "services"
    _root(root)
    context = CACHE / "context"
    context.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "postgres-entrypoint.sh", context)
    # A proxy in front of the package index may need this machine's certificates.
    shutil.copy(CERTIFICATES, context)
    if root == "services":
        programs(context)
    run("docker", "build", "--quiet", "--label", "stand-in=yes", "--target", target, "--tag", image,
        "--file", HERE / "Dockerfile", context)  # fmt: skip
    return True


def _root(name: str) -> None:
    """Imports a minimal Debian 13 as the base of the stand-ins."""
    if subprocess.run(
        ["docker", "image", "inspect", f"stand-in/{name}"], capture_output=True, check=False
    ).returncode == 0:  # fmt: skip
        return
    tar = CACHE / f"{name}.tar"
    if not tar.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES[name]}",
            "trixie", tar)  # fmt: skip
    run("docker", "import", tar, f"stand-in/{name}")


def programs(context: Path) -> None:
    """Builds the server, its tools, the UI and Mailpit into a folder, with the files they need."""
    modules = Path(run("go", "env", "GOMODCACHE").strip())
    for name, package in PROGRAMS.items():
        if (context / name).exists():
            continue
        folder = CACHE / "go" / name
        subprocess.run(
            ["go", "install", package],
            env=os.environ | {"GOBIN": str(folder), "GOFLAGS": "-p=1"},
            check=True,
        )
        [program] = folder.iterdir()
        shutil.copy(program, context / name)
    server, ui = modules / SERVER, modules / "github.com/temporalio/ui-server/v2@v2.52.0"
    shutil.copy(server / "docker/scripts/sh/entrypoint.sh", context)
    for source, name in ((server / "schema", "schema"), (ui / "config", "ui-config")):
        shutil.copytree(source, context / name, dirs_exist_ok=True, copy_function=_copied)
    cli = shutil.which("temporal", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert cli is not None
    shutil.copy(cli, context / "temporal")


def _copied(source: str, target: str) -> None:
    # Copies from the read-only module cache may be read-only too: a second run replaces them.
    Path(target).unlink(missing_ok=True)
    shutil.copyfile(source, target)
