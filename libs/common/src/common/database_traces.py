"""The SQL of traced work: a span for each transaction, with how many statements it sent and how long they took.

A span for each statement would cost more and say little: a batch sends a few, and the log of the server has the slow
ones. Neither parameters nor texts of statements are in it.
"""

import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind

from common import context, telemetry

if TYPE_CHECKING:
    from common.database import Connection, Engine, Rows


class TracedEngine:
    """An engine whose transactions are spans below *traceparent*."""

    def __init__(self, engine: "Engine", traceparent: str) -> None:
        self._engine = engine
        self._traceparent = traceparent

    def begin(self) -> "AbstractAsyncContextManager[_TracedConnection]":
        return self._traced(self._engine.begin())

    def autocommit(self) -> "AbstractAsyncContextManager[_TracedConnection]":
        return self._traced(self._engine.autocommit())

    @asynccontextmanager
    async def _traced(self, opened: "AbstractAsyncContextManager[Connection]") -> "AsyncIterator[_TracedConnection]":
        started_ns, committed, traced = time.time_ns(), False, None
        try:
            async with opened as connection:
                traced = _TracedConnection(connection)
                yield traced
            committed = True
        finally:
            telemetry.record_span(
                "sql transaction",
                context.child_traceparent(self._traceparent),
                started_ns,
                time.time_ns(),
                parent=self._traceparent,
                kind=SpanKind.CLIENT,
                attributes={
                    "db.system.name": "postgresql",
                    "db.transaction.committed": committed,
                    "db.statements.count": traced.count if traced else 0,
                    "db.statements.ms": round(traced.seconds * 1000, 2) if traced else 0.0,
                },
            )


class _TracedConnection:
    """A connection that counts its statements, and the seconds until their answers."""

    __slots__ = ("_inner", "count", "driver", "seconds")

    def __init__(self, inner: "Connection") -> None:
        self._inner = inner
        self.driver = inner.driver
        self.count = 0
        self.seconds = 0.0

    async def execute(self, sql: str, params: Mapping[str, Any]) -> "Rows":
        started = time.perf_counter()
        try:
            return await self._inner.execute(sql, params)
        finally:
            self._sent(started)

    async def write(self, statements: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        started = time.perf_counter()
        try:
            await self._inner.write(statements)
        finally:
            self._sent(started)

    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        started = time.perf_counter()
        try:
            await self._inner.copy(table, columns, rows)
        finally:
            self._sent(started)

    def _sent(self, started: float) -> None:
        self.count += 1
        self.seconds += time.perf_counter() - started
