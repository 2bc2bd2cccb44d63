"""xAPI statements as learning systems sent them. They are never changed, only voided."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Column
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from records.database import UtcDateTime, insert_new, lock


class XapiStatement(SQLModel, table=True):
    """A statement.

    Attributes:
        digest: A hash of everything that makes two statements the same.
        content: The statement as it is given back.
        training_id: The person for whom it brought a result; empty if it brought none.
        voids: The statement that it takes back; empty if it is not a void.
        voided: Its own source has taken it back.
    """

    source: str = Field(primary_key=True)
    id: str = Field(primary_key=True, index=True)
    digest: str
    content: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    training_id: str = ""
    voids: str = Field(default="", index=True)
    voided: bool = False
    stored_at: datetime = Field(sa_type=UtcDateTime)


_INSERT = insert_new(XapiStatement, col(XapiStatement.id))


class Kept(StrEnum):
    """What became of a statement."""

    NEW = "new"
    KNOWN = "known"
    CONFLICT = "conflict"
    """Another statement has this id already."""


async def take_turn(session: AsyncSession, source: str) -> None:
    """Waits until no other transaction takes statements of this source.

    Otherwise a void and its target that come at the same moment could miss each other.
    """
    await lock(session, f"xapi {source}")


async def keep(session: AsyncSession, statement: XapiStatement) -> Kept:
    """Keeps a statement, once."""
    # Two requests may bring one statement at the same moment; the key admits one of them.
    connection = await session.connection()
    insert = _INSERT[connection.dialect.name]
    if (await connection.execute(insert, statement.model_dump())).first() is not None:
        return Kept.NEW
    known = await session.get_one(XapiStatement, (statement.source, statement.id))
    return Kept.KNOWN if known.digest == statement.digest else Kept.CONFLICT


async def kept(session: AsyncSession, source: str, statement_id: str) -> XapiStatement | None:
    """One of a source's statements."""
    return await session.get(XapiStatement, (source, statement_id))


async def of_others(session: AsyncSession, source: str, statement_id: str) -> bool:
    """Whether another source has sent a statement with this id."""
    found = select(XapiStatement.id).where(
        XapiStatement.id == statement_id, XapiStatement.source != source
    )
    return (await session.exec(found)).first() is not None


async def voids_of(session: AsyncSession, source: str, statement_id: str) -> Sequence[str]:
    """The source's voids of this statement, even if the statement itself has not come yet."""
    found = select(XapiStatement.id).where(
        XapiStatement.source == source, XapiStatement.voids == statement_id
    )
    return (await session.exec(found)).all()
