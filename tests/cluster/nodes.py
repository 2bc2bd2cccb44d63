"""A cluster of Temporal's server: a process and an address for each node.

The nodes are frontend, history, matching and worker, on PostgreSQL for persistence and visibility.
All run on one machine, so that a test can kill a node, cut it off or bring it back.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from deploy.compose_test.stand_ins import CACHE, programs

PROGRAMS = CACHE / "context"
ROLES = ("history", "history", "matching", "matching", "frontend", "frontend", "worker")
PORT = 17233
POSTGRES_PORT = 17432
SHARDS = 128
PATIENCE = 90.0
"""Seconds for a part to start."""


class Unavailable(Exception):
    """This machine lacks a part of the cluster."""


@dataclass
class Postgres:
    """PostgreSQL as a process that can be killed and started again."""

    folder: Path
    programs: Path = field(default_factory=lambda: _postgres())
    _process: Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the records."""
        return f"postgresql://postgres@127.0.0.1:{POSTGRES_PORT}/assister"

    def begin(self) -> None:
        """Makes a new server with empty databases."""
        self.folder.mkdir()
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        _as_postgres(
            self.programs / "initdb", "-D", self.folder, "--encoding=UTF8", "--username=postgres",
            "--auth=trust",
        )  # fmt: skip
        self.start()
        for name in ("temporal", "temporal_visibility", "assister"):
            _as_postgres(self.programs / "createdb", *self._here(), name)

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        self._process = Popen(
            [*_user(), str(self.programs / "postgres"), "-D", str(self.folder),
             "-p", str(POSTGRES_PORT), "-c", "listen_addresses=127.0.0.1",
             "-c", "max_connections=400", "-c", f"unix_socket_directories={self.folder}"],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _until(
            lambda: (
                subprocess.run(
                    [self.programs / "pg_isready", "--quiet", *self._here()], check=False
                ).returncode
                == 0
            ),
            "PostgreSQL",
        )

    def kill(self) -> None:
        """Ends the server and its children without a checkpoint, as a power cut would."""
        assert self._process is not None
        # At SIGQUIT every process of the server ends at once, and the next start recovers.
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()

    def _here(self) -> tuple[str, ...]:
        return ("-h", "127.0.0.1", "-p", str(POSTGRES_PORT), "-U", "postgres")


@dataclass
class Node:
    """One process of the cluster."""

    role: str
    address: str
    folder: Path
    _process: Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the node, which joins the cluster by itself."""
        environment = {
            **os.environ,
            "DB": "postgres12",
            "DB_PORT": str(POSTGRES_PORT),
            "POSTGRES_SEEDS": "127.0.0.1",
            "POSTGRES_USER": "postgres",
            "POSTGRES_PWD": "none",
            "NUM_HISTORY_SHARDS": str(SHARDS),
            "BIND_ON_IP": self.address,
            "TEMPORAL_BROADCAST_ADDRESS": self.address,
            "PUBLIC_FRONTEND_ADDRESS": f"127.0.0.1:{PORT}",
            "LOG_LEVEL": "warn",
            "DYNAMIC_CONFIG_FILE_PATH": str(self.folder / "dynamic.yaml"),
        }
        for number, role in enumerate(("FRONTEND", "HISTORY", "MATCHING", "", "", "", "WORKER")):
            environment |= {
                f"{role}_GRPC_PORT": str(PORT + number),
                f"{role}_MEMBERSHIP_PORT": str(PORT - 300 + number),
            }
        environment["FRONTEND_HTTP_PORT"] = str(PORT + 10)
        with (self.folder / f"{self.role}-{self.address}.log").open("ab") as log:
            self._process = Popen(
                [PROGRAMS / "temporal-server", "start", "--service", self.role],
                env=environment,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )

    def kill(self) -> None:
        """Ends the node as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def cut_off(self, *, yes: bool) -> None:
        """Drops every packet from and to the node's address, or stops dropping them."""
        act = "--insert" if yes else "--delete"
        for way in ("--source", "--destination"):
            subprocess.run(
                ["iptables", act, "INPUT", way, self.address, "--jump", "DROP"], check=True
            )


@dataclass
class Cluster:
    """A running cluster."""

    postgres: Postgres
    nodes: list[Node]

    @property
    def address(self) -> str:
        """The address of the first frontend."""
        return f"127.0.0.1:{PORT}"

    def nodes_of(self, role: str) -> list[Node]:
        """The nodes of one role."""
        return [node for node in self.nodes if node.role == role]


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    """Runs a cluster with the default namespace while the context is open.

    Raises:
        Unavailable: If Go, PostgreSQL or a module is missing.
    """
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    try:
        await asyncio.to_thread(programs, PROGRAMS)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable(f"Temporal's server cannot be built: {error}") from None
    made = Cluster(Postgres(folder / "postgres"), [])
    # The client and the cluster itself expect a frontend at 127.0.0.1.
    for number, role in enumerate(ROLES):
        address = "127.0.0.1" if role == "frontend" and not made.nodes_of(role) else (
            f"127.0.1.{number + 1}"
        )  # fmt: skip
        made.nodes.append(Node(role, address, folder))
    try:
        await asyncio.to_thread(_begin, made, folder)
        yield made
    finally:
        for node in made.nodes:
            if node._process is not None:
                node.kill()
        if made.postgres._process is not None:
            made.postgres.kill()


def _begin(made: Cluster, folder: Path) -> None:
    folder.chmod(0o755)
    (folder / "dynamic.yaml").write_text("{}\n")
    made.postgres.begin()
    for database, schema in (("temporal", "temporal"), ("temporal_visibility", "visibility")):
        tool = [
            str(PROGRAMS / "temporal-sql-tool"), "--plugin", "postgres12", "--ep", "127.0.0.1",
            "--port", str(POSTGRES_PORT), "--user", "postgres", "--db", database,
        ]  # fmt: skip
        versions = PROGRAMS / "schema/postgresql/v12" / schema / "versioned"
        for step in (("setup-schema", "-v", "0.0"), ("update-schema", "-d", str(versions))):
            subprocess.run([*tool, *step], check=True, stdout=subprocess.DEVNULL)
    for node in made.nodes:
        node.start()
    temporal = ["timeout", "10", str(PROGRAMS / "temporal"), "--address", made.address]

    def answers(*words: str) -> bool:
        done = subprocess.run([*temporal, *words], check=False, capture_output=True)
        return done.returncode == 0

    namespace = ("--namespace", "default")
    _until(lambda: answers("operator", "cluster", "health"), "the cluster")
    _until(
        lambda: answers("operator", "namespace", "create", *namespace, "--retention", "90d"),
        "the namespace",
    )
    _until(lambda: answers("workflow", "list", *namespace), "the namespace's lists")


def _postgres() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise Unavailable("no PostgreSQL in /usr/lib/postgresql (apt install postgresql)")
    return found[-1].parent


def _user() -> list[str]:
    # PostgreSQL refuses to run as root.
    root = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
    return root if os.getuid() == 0 else []


def _as_postgres(*words: object) -> None:
    subprocess.run([*_user(), *map(str, words)], check=True, stdout=subprocess.DEVNULL, cwd="/")


def _until(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        if time.monotonic() > deadline:
            raise Unavailable(f"{what}: not within {PATIENCE:.0f} seconds")
        time.sleep(0.5)
