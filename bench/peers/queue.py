"""A job queue in PostgreSQL and a row with each person's state, written by hand.

A worker takes, does and deletes a job in one transaction. If it dies, another worker does the job
again, and a mail that was already sent is sent twice. A deadline is a job that is due later.
"""

import asyncio
import os
import signal
import sys
from contextlib import suppress

import psycopg

from bench.peers import lines
from bench.smtp import Mails

REQUIREMENTS = 4
AT_ONCE = 16
SCHEMA = """
CREATE TABLE IF NOT EXISTS people (
    person text PRIMARY KEY,
    met text[] NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'collecting'
);
CREATE TABLE IF NOT EXISTS jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person text NOT NULL, what text NOT NULL, due timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS jobs_due ON jobs (due);
"""
ADD = """
WITH added AS (INSERT INTO jobs (person, what) VALUES (%s, %s))
SELECT pg_notify('jobs', '')
"""
TAKE = """
DELETE FROM jobs WHERE id = (
    SELECT id FROM jobs WHERE due <= now() ORDER BY due FOR UPDATE SKIP LOCKED LIMIT 1
) RETURNING person, what
"""
MEET = """
INSERT INTO people (person, met) VALUES (%(person)s, ARRAY[%(what)s])
ON CONFLICT (person) DO UPDATE SET met = array_append(array_remove(people.met, %(what)s), %(what)s)
RETURNING cardinality(met), state
"""
EXPIRE = "INSERT INTO jobs (person, what, due) VALUES (%s, 'expire', now() + interval '7 days')"

Connection = psycopg.AsyncConnection[tuple[object, ...]]


async def take(connection: Connection, mails: Mails) -> bool:
    """Does one job; returns whether there was one."""
    async with connection.transaction():
        job = await (await connection.execute(TAKE)).fetchone()
        if job is None:
            return False
        await do(connection, mails, str(job[0]), str(job[1]))
    return True


async def do(connection: Connection, mails: Mails, person: str, what: str) -> None:
    """Does what a job asks for."""
    match what:
        case "mail activation" | "mail confirmation":
            await mails.send(person, what.removeprefix("mail "))
        case "account_activated":
            await set_state(connection, person, "active")
            await connection.execute(
                "DELETE FROM jobs WHERE person = %s AND what = 'expire'", [person]
            )
            await connection.execute(ADD, [person, "mail confirmation"])
        case "expire":
            await set_state(connection, person, "expired")
        case requirement:
            met = await connection.execute(MEET, {"person": person, "what": requirement})
            if await met.fetchone() == (REQUIREMENTS, "collecting"):
                await set_state(connection, person, "awaiting activation")
                await connection.execute(ADD, [person, "mail activation"])
                await connection.execute(EXPIRE, [person])


async def set_state(connection: Connection, person: str, state: str) -> None:
    """Records a person's state."""
    await connection.execute("UPDATE people SET state = %s WHERE person = %s", [state, person])


async def work() -> None:
    """Does jobs until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    url, mails, more = os.environ["PEER_DATABASE_URL"], Mails(), asyncio.Event()

    async def one() -> None:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            while not stop.is_set():
                more.clear()
                if await take(connection, mails):
                    more.set()
                    continue
                with suppress(TimeoutError):
                    await asyncio.wait_for(more.wait(), 1)

    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(SCHEMA)
        await connection.execute("LISTEN jobs")
        workers = [asyncio.create_task(one()) for _ in range(AT_ONCE)]
        print("worker running", flush=True)
        while not stop.is_set():
            async for _ in connection.notifies(timeout=0.5):
                more.set()
        await asyncio.gather(*workers)


async def door() -> None:
    """Adds a job for each event."""
    url = os.environ["PEER_DATABASE_URL"]
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:

        async def keep(person: str, event: str) -> None:
            await connection.execute(ADD, [person, event])

        await lines.serve(keep)


if __name__ == "__main__":
    asyncio.run(work() if sys.argv[1] == "worker" else door())
