"""PostgreSQL as the services see it: READ COMMITTED, row locks with a queue, unknown commits, lost connections.

A write locks its key until the transaction ends, also for a row that does not exist yet; that is what a unique index
does. Reads see what is committed and what the transaction itself wrote. Rows are never changed in place.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from common.clock import Clock
from common.database import DEADLOCK, SERIALIZATION, Database
from common.database import Statement as NamedStatement
from common.guards import Guards
from common.seals import Sealer

from .process import Process

# One for all processes of a run, as in a fleet.
SEALER = Sealer({"sim": bytes(range(32))}, bytes(range(32)))

POOL_SIZE = 4
Row = dict[str, Any]
Statement = Callable[["Transaction", dict[str, Any]], Any]


def failure(sqlstate: str) -> asyncpg.PostgresError:
    """The error as the driver raises it."""
    error = asyncpg.PostgresError("made up")
    error.sqlstate = sqlstate
    return error


class Store:
    """What one schema holds. It outlives its processes."""

    def __init__(self, name: str, now: Callable[[], float], statements: dict[str, Statement]) -> None:
        self.name = name
        self.now = now
        self.statements = statements
        self.tables: dict[str, dict[Any, Row]] = {}
        self.locks: dict[tuple[str, Any], Transaction] = {}
        self.waiting: dict[tuple[str, Any], list[tuple[Transaction, asyncio.Future[None]]]] = {}
        self.open: dict[Transaction, None] = {}
        # Commits without a flush (synchronous_commit = off) since the last flush, to be undone by a crash.
        self.unflushed: list[tuple[str, Any, Row | None]] = []
        # Partial indexes: table → the keys whose row `index` calls due.
        self.index: dict[str, Callable[[Row], bool]] = {}
        self.due: dict[str, dict[Any, None]] = {}

    def table(self, name: str) -> dict[Any, Row]:
        return self.tables.setdefault(name, {})

    def apply(self, table: str, key: Any, row: Row | None) -> None:
        if row is None:
            self.table(table).pop(key, None)
        else:
            self.table(table)[key] = row
        if table in self.index:
            due = self.due.setdefault(table, {})
            if row is not None and self.index[table](row):
                due[key] = None
            else:
                due.pop(key, None)

    def restart(self) -> None:
        """`pg_ctl stop -m immediate`: transactions end, what was not flushed is gone."""
        for transaction in list(self.open):
            transaction.broken = True
            transaction.end()
        for table, key, before in reversed(self.unflushed):
            self.apply(table, key, before)
        self.unflushed.clear()


class Transaction:
    """One connection in a transaction; what `common.database.Connection` is to its Tx."""

    def __init__(self, store: Store, process: Process) -> None:
        self.store = store
        self.process = process
        self.started = store.now()
        self.writes: dict[tuple[str, Any], Row | None] = {}
        self.held: list[tuple[str, Any]] = []
        self.waits_for: tuple[str, Any] | None = None
        self.asynchronous = False
        self.broken = False
        self.over = False
        store.open[self] = None
        process.on_death.append(self.end)

    async def execute(self, sql: str, params: dict[str, Any]) -> "Rows":
        await self.travel()
        rows = await self.store.statements[_name(sql)](self, params)
        return rows if isinstance(rows, Rows) else Rows(rows or ())

    async def write(self, statements: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        await self.travel()
        for sql, params in statements:
            await self.store.statements[_name(sql)](self, dict(params))

    async def travel(self) -> None:
        """The statement's way to the server; it may find the connection gone or lose a race."""
        faults = self.process.faults
        if self.over and not self.broken:
            raise failure("25P02")
        if faults.strikes("statement_lost"):
            self.broken = True
            self.end()
        if self.broken:
            raise failure("08006")
        if faults.strikes("lost_race"):
            self.end()
            raise failure(faults.rng.choice((DEADLOCK, SERIALIZATION)))
        await self.process.pause()
        if self.broken:
            raise failure("08006")

    def get(self, table: str, key: Any) -> Row | None:
        if (table, key) in self.writes:
            return self.writes[table, key]
        return self.store.table(table).get(key)

    def scan(self, table: str) -> Iterable[tuple[Any, Row]]:
        """All rows that this transaction sees."""
        keys = dict.fromkeys(self.store.table(table))
        keys |= dict.fromkeys(key for name, key in self.writes if name == table)
        for key in keys:
            row = self.get(table, key)
            if row is not None:
                yield key, row

    async def lock(self, table: str, key: Any) -> Row | None:
        """The row as it is once nobody else holds it."""
        at = (table, key)
        holder = self.store.locks.get(at)
        if holder is None:
            self.store.locks[at] = self
            self.held.append(at)
        elif holder is not self:
            await self._wait(at)
        return self.get(table, key)

    async def _wait(self, at: tuple[str, Any]) -> None:
        self.waits_for = at
        blocker: Transaction | None = self
        while blocker is not None and blocker.waits_for is not None:
            blocker = self.store.locks.get(blocker.waits_for)
            if blocker is self:
                self.end()
                raise failure(DEADLOCK)
        turn = self.process.loop.create_future()
        self.store.waiting.setdefault(at, []).append((self, turn))
        try:
            await turn
        finally:
            self.waits_for = None
        if self.broken:
            raise failure("08006")

    def try_lock(self, table: str, key: Any) -> bool:
        """SKIP LOCKED."""
        holder = self.store.locks.get((table, key))
        if holder is None:
            self.store.locks[table, key] = self
            self.held.append((table, key))
        return holder is None or holder is self

    async def insert(self, table: str, key: Any, row: Row) -> bool:
        """ON CONFLICT DO NOTHING: whether it is ours."""
        if await self.lock(table, key) is not None:
            return False
        self.writes[table, key] = row
        return True

    async def put(self, table: str, key: Any, row: Row) -> None:
        await self.lock(table, key)
        self.writes[table, key] = row

    async def commit(self) -> None:
        faults = self.process.faults
        if self.writes or self.over:
            await self.travel()
        if faults.strikes("commit_lost"):
            self.end()
            raise failure("08006")
        before = [(table, key, self.store.table(table).get(key)) for table, key in self.writes]
        for (table, key), row in self.writes.items():
            self.store.apply(table, key, row)
        if self.asynchronous:
            self.store.unflushed += before
        elif self.writes:
            self.store.unflushed.clear()
        self.end()
        if faults.strikes("commit_unknown"):
            raise failure("08007")
        if before:
            await self.process.pause()

    def end(self) -> None:
        """Commit or roll back, in any case: let the next ones have the locks."""
        if self.over:
            return
        self.over = True
        self.store.open.pop(self, None)
        if not self.process.dead:
            self.process.on_death.remove(self.end)
        for at in self.held:
            self._hand_over(at)
        for at, queue in list(self.store.waiting.items()):
            for entry in [entry for entry in queue if entry[0] is self]:
                queue.remove(entry)
                if not entry[1].done():
                    self.broken = True
                    entry[1].set_result(None)
            if not queue:
                self.store.waiting.pop(at, None)
        self.held.clear()

    def _hand_over(self, at: tuple[str, Any]) -> None:
        queue = self.store.waiting.get(at, [])
        while queue:
            transaction, turn = queue.pop(0)
            if not turn.done() and not transaction.over:
                self.store.locks[at] = transaction
                transaction.held.append(at)
                # Now, not when its task runs again: a search for deadlocks meanwhile must not find it waiting.
                transaction.waits_for = None
                turn.set_result(None)
                return
        self.store.locks.pop(at, None)
        self.store.waiting.pop(at, None)


class Rows(list[Any]):
    """A result: rows with attributes."""

    def scalars(self) -> list[Any]:
        return [row[0] for row in self]


class Engine:
    """A pool of connections; stands where `common.database.Database` expects its Engine."""

    def __init__(self, store: Store, process: Process) -> None:
        self.store = store
        self.process = process
        self._pool = asyncio.Semaphore(POOL_SIZE)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        async with self._pool:
            self.process.alive()
            transaction = Transaction(self.store, self.process)
            try:
                yield transaction
                await transaction.commit()
            finally:
                transaction.end()

    # One statement that the engine commits by itself fails, and is unknown, as a transaction of that statement does.
    autocommit = begin


def database(store: Store, process: Process, clock: Clock, guards: Guards) -> Database:
    """The real Database on a simulated engine."""
    engine: Any = Engine(store, process)
    return Database(engine, store.name, sealer=SEALER, clock=clock, random=process.faults.rng, guards=guards)


def _name(sql: str) -> str:
    assert isinstance(sql, NamedStatement), f"a statement without a name cannot be simulated: {sql}"
    return sql.name
