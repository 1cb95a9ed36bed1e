"""Statements composed at run time with SQLAlchemy Core: filters, sorts, pages. Never on a hot path.

Building and compiling one costs some 260 µs; what is hot stays text.
"""

from typing import Any

from sqlalchemy import Select
from sqlalchemy.dialects.postgresql import asyncpg

from common.database import Rows, Tx

_DIALECT = asyncpg.dialect(paramstyle="named")  # type: ignore[no-untyped-call]


async def run(tx: Tx, statement: Select[Any]) -> Rows:
    """The rows of *statement*, on the transaction's own connection."""
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    return await tx.execute(compiled.string, **compiled.params)
