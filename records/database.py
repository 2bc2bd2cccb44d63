"""Connections to the records, on SQLite and on PostgreSQL."""

import asyncio
import os
import re
import select
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from datetime import UTC, datetime
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, Dialect, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Mapped
from sqlalchemy.types import DateTime, TypeDecorator
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

ONLY_READS, EACH_ALONE = "only_reads", "each_alone"
PATIENCE = 10
"""Seconds for which a connection to SQLite waits for another one."""
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}


class UnsupportedDatabase(ValueError):
    """The URL cannot be read, or names neither SQLite nor PostgreSQL."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. It refuses naive values, because SQLite would drop the time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Stores in UTC."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Reads as UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def async_url(url: str) -> URL:
    """The URL with the driver that this system uses.

    Raises:
        UnsupportedDatabase: If it is neither SQLite nor PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The URL is not shown: it may hold a password.
        raise UnsupportedDatabase("the database's URL cannot be read") from None
    driver = DRIVERS.get(parsed.get_backend_name())
    if driver is None:
        raise UnsupportedDatabase(
            f"database {parsed.get_backend_name()!r} is not supported; use sqlite:///… or"
            " postgresql://…"
        )
    return parsed.set(drivername=driver)


def make_engine(url: str) -> AsyncEngine:
    """An engine with the settings under which no update is lost."""
    parsed = async_url(url)
    # Errors go into logs and histories, and their parameters are people's data.
    if parsed.get_backend_name() == "postgresql":
        # All fifteen connections are kept. By default SQLAlchemy closes ten of them after each use,
        # and PostgreSQL starts a process for every new one.
        engine = create_async_engine(parsed, pool_size=15, max_overflow=0, hide_parameters=True)
        event.listen(engine.sync_engine, "checkout", _check_open)
        event.listen(engine.sync_engine, "handle_error", _forget_values)
        return engine
    engine = create_async_engine(
        parsed, connect_args={"isolation_level": None}, hide_parameters=True
    )
    event.listen(engine.sync_engine, "do_connect", _make_private)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _check_open(connection: Any, _record: object, _proxy: object) -> None:
    """Has the pool open a connection anew that PostgreSQL has closed, such as in a restart.

    PostgreSQL sends nothing to an idle connection unless it ends it. SQLAlchemy's own check asks
    the server before each use, which takes as long as a small query.
    """
    driver: psycopg.AsyncConnection = connection.driver_connection
    waiting = select.poll()
    if not driver.closed:
        waiting.register(driver.fileno(), select.POLLIN)
    if driver.closed or waiting.poll(0):
        raise DisconnectionError("PostgreSQL has closed the connection")


def _make_private(_dialect: Dialect, _record: object, arguments: list[Any], _options: Any) -> None:
    """Makes the file readable by its owner only; SQLite gives its other files the same rights.

    Raises:
        OperationalError: If the file cannot be made or used.
    """
    file = arguments[0]
    if file == ":memory:":
        return
    # Only if there is none: closing a file releases every lock that this process has on it. The
    # next program that ends would then delete the log while other connections use it.
    with suppress(OSError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    if not (os.path.isfile(file) and os.access(file, os.R_OK | os.W_OK)):
        # The driver would find out in a thread, which prints a traceback if the event loop ends
        # before it has told of the fault.
        raise sqlite3.OperationalError("unable to open database file")


def _begin_sqlite(connection: Connection) -> None:
    # Without IMMEDIATE, two transactions could both read before either of them writes.
    options = connection.get_execution_options()
    if not options.get(EACH_ALONE):
        reads = options.get(ONLY_READS)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _forget_values(context: ExceptionContext) -> None:
    """Takes the values out of an error of PostgreSQL: ``Key (mailbox_key)=(…) already exists``."""
    error, raised = context.original_exception, context.sqlalchemy_exception
    if not isinstance(error, psycopg.Error) or error.sqlstate is None:
        return
    primary = error.diag.message_primary or ""
    # SQLSTATE class 22 is a fault of a value, and the message's first line repeats the value.
    said = "" if error.sqlstate.startswith("22") else re.sub('"[^"]*@[^"]*"', "…", primary)
    error.args = (f"{error.sqlstate} {said}".strip(),)
    if raised is not None:
        raised.args = (f"({type(error).__name__}) {error}",)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor: sqlite3.Cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={1000 * PATIENCE}")
    write_ahead(cursor)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def write_ahead(cursor: sqlite3.Cursor) -> None:
    """Changes a new file to write-ahead logging; a file that has it already stays as it is.

    SQLite does not wait here while another connection writes, such as one that makes this very
    change: of several programs that open a new file at once, some would end.
    """
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            # An extended error code has the error itself in its lowest byte.
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > ends:
                raise
            time.sleep(0.02)


def insert_into(table: type[SQLModel], dialect: str) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that can say what becomes of a row whose key there is already."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def insert_new(table: type[SQLModel], *named: Mapped[Any]) -> Mapping[str, Any]:
    """By dialect, an INSERT that leaves out each row whose key is there already.

    Example: ``_NEW = insert_new(AuditEntry, col(AuditEntry.case_id))``

    Args:
        named: The columns that it gives back of each new row.
    """
    return {
        dialect: insert_into(table, dialect).on_conflict_do_nothing().returning(*named)
        for dialect in DRIVERS
    }


async def lock_each(connection: AsyncConnection, names: Sequence[str]) -> None:
    """Takes several locks until the transaction ends, in the order of their names."""
    # SQLite has one writer; every other transaction waits anyway.
    if connection.dialect.name == "postgresql":
        taken = text(
            "SELECT pg_advisory_xact_lock(hashtextextended(name, 0))"
            " FROM unnest(CAST(:names AS text[])) AS name"
        )
        await connection.execute(taken, {"names": sorted(names)})


async def lock(session: AsyncSession, name: str) -> None:
    """Takes a lock until the transaction ends; others that take it wait."""
    await lock_each(await session.connection(), [name])


class Database:
    """The records' database; made once per process and closed at its end."""

    def __init__(self, url: str) -> None:
        self.engine = make_engine(url)
        self._sessions = async_sessionmaker(
            self.engine, class_=AsyncSession, expire_on_commit=False
        )
        # SQLite has one writer. The writers of this process queue here: SQLite would let them sleep
        # longer and longer, and let the first to wake go on, no matter how long others waited.
        queues = self.engine.dialect.name == "sqlite"
        self._turn: AbstractAsyncContextManager[Any] = asyncio.Lock() if queues else nullcontext()
        # To begin and end a transaction asks PostgreSQL twice more.
        alone = {EACH_ALONE: True} if queues else {"isolation_level": "AUTOCOMMIT"}
        self._alone = self.engine.execution_options(**alone)
        # It gives each statement that reads a snapshot of its own anyway.
        self._reading = {ONLY_READS: True} if queues else alone

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session whose work is committed at the end, or rolled back on any error."""
        async with self._turn, self._sessions() as session, session.begin():
            yield session

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for statements that read, each at a moment of its own."""
        async with self._alone.connect() as connection:
            yield connection

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction without a session, which costs as much as some statements."""
        async with self._turn, self.engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def statements(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which each statement is committed by itself."""
        async with self._turn, self._alone.connect() as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self, *, streams: bool = False) -> AsyncIterator[AsyncSession]:
        """A session for reading only; it blocks no writer.

        Args:
            streams: Rows are fetched in parts, for which PostgreSQL needs a transaction.
        """
        reading = {ONLY_READS: True} if streams else self._reading
        async with self._sessions() as session:
            await session.connection(execution_options=reading)
            yield session

    async def close(self) -> None:
        """Closes every connection."""
        await self.engine.dispose()
