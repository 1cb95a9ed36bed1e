"""One Postgres database as one service sees it: transactions that announce, and retries of lost races."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache, partial, wraps
from random import Random
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar, cast

import asyncpg

from common import context, metrics, telemetry
from common.clock import SYSTEM_CLOCK, Clock
from common.database_traces import TracedEngine
from common.database_urls import connect_arguments
from common.errors import Unavailable
from common.guards import OUTBOX, PUBLISH_AFTER_COMMIT, Guards
from common.seals import Sealer

if TYPE_CHECKING:
    from common.outbox import Outgoing

# Lost races: the whole transaction may simply be tried again.
DEADLOCK, SERIALIZATION = "40P01", "40001"
ATTEMPTS_MAX = 5
POOL_SECONDS_MAX = 5.0
CLOSE_SECONDS_MAX = 5.0
# SQLSTATE classes that say "not now", not "not so": connection, lost race, resources, operator intervention, system.
_TRANSIENT_CLASSES = ("08", "40", "53", "57", "58")
_LOCK_NOT_AVAILABLE = "55P03"

_JITTER = Random()  # noqa: S311 - jitter, not a secret
ALL_GUARDS = Guards.all()

P = ParamSpec("P")
R = TypeVar("R")


class LostRace(Exception):
    """Somebody else wrote between our read and our insert: tried again, the same work finds what they wrote."""


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached or is out of connections."""

    fix = "Try again after the time in Retry-After; nothing was changed."


class RoleTooPowerful(Exception):
    """DATABASE_URL logs in as a role that may do more than a service needs: a superuser, or an owner of schemas."""


class Statement(str):
    """SQL with a name, by which a stand-in for the database knows what it does (tests/simulation)."""

    __slots__ = ("name",)

    name: str

    def __new__(cls, name: str, sql: str) -> Self:
        statement = super().__new__(cls, sql)
        statement.name = name
        return statement


_PARAMETER = re.compile(r"(?<![:\w\\]):([A-Za-z_]\w*)")


@lru_cache(maxsize=1024)
def _compiled(sql: str, first: int = 1) -> tuple[str, tuple[str, ...]]:
    """*sql* with `$first` for the first name and so on, and the names in that order."""
    names: dict[str, int] = {}
    numbered = _PARAMETER.sub(lambda match: f"${names.setdefault(match[1], len(names) + first)}", sql)
    return numbered, tuple(names)


_WRITE = re.compile(r"\s*(?:insert into|update|delete from)\s+(\w+)")


@lru_cache(maxsize=1024)
def _writes_to(sql: str, table: str) -> bool:
    """Whether *sql* is a write to *table*: two writes to one table that travelled together would not see each other."""
    match = _WRITE.match(sql)
    return match is not None and match[1] == table


@lru_cache(maxsize=256)
def _together(statements: tuple[str, ...]) -> str:
    """One statement that does what all of them do, its parameters theirs one after the other."""
    parts, first = [], 1
    for number, sql in enumerate(statements):
        numbered, names = _compiled(sql, first)
        parts.append(f"write_{number} as ({numbered})")
        first += len(names)
    return f"with {', '.join(parts)} select"


class Row(asyncpg.Record):
    """A row: its columns by name (`row.seq`), by position, or unpacked."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Rows(list[Row]):
    """What a statement returned."""

    __slots__ = ()

    def all(self) -> list[Row]:
        return self

    def first(self) -> Row | None:
        return self[0] if self else None

    def one(self) -> Row:
        """Raises AssertionError when there are more or fewer."""
        assert len(self) == 1, f"one row expected, not {len(self)}"
        return self[0]

    def scalar(self) -> Any:
        """The first column of the first row, None without rows."""
        return self[0][0] if self else None

    def scalar_one(self) -> Any:
        return self.one()[0]

    def scalars(self) -> list[Any]:
        """The first column of every row."""
        return [row[0] for row in self]


class Connection:
    """One connection of the pool, in a transaction."""

    __slots__ = ("driver",)

    def __init__(self, driver: asyncpg.Connection) -> None:
        self.driver = driver

    async def execute(self, sql: str, params: Mapping[str, Any]) -> Rows:
        numbered, names = _compiled(sql)
        return Rows(cast(list[Row], await self.driver.fetch(numbered, *[params[name] for name in names])))

    async def write(self, statements: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Run statements whose rows nobody reads in one round trip; none of them sees what the others do."""
        if len(statements) == 1:
            await self.execute(*statements[0])
            return
        values = [params[name] for sql, params in statements for name in _compiled(sql)[1]]
        await self.driver.fetch(_together(tuple(sql for sql, _ in statements)), *values)

    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        await self.driver.copy_records_to_table(table, columns=columns, records=rows)


class Engine:
    """A small, fixed pool of connections, opened when they are first needed."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Connection]:
        """A transaction: commits at the end of the block, rolls back when it raises."""
        async with self.autocommit() as connection, connection.driver.transaction():
            yield connection

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[Connection]:
        """A connection on which every statement is a transaction of its own."""
        async with self._pool.acquire(timeout=POOL_SECONDS_MAX) as proxy:
            # The proxy adds checks to each statement that a block like this needs not.
            yield Connection(cast(Any, proxy)._con)


class Tx:
    """One open transaction. What `outbox.append` puts into `outgoing` is published after the commit."""

    __slots__ = ("_writes", "clock", "connection", "contexts", "has_outbox", "outgoing", "sealer", "service")

    def __init__(
        self, connection: Connection, service: str, sealer: Sealer, clock: Clock = SYSTEM_CLOCK, *, outbox: bool = True
    ) -> None:
        self.connection = connection
        self.service = service
        self.sealer = sealer
        self.clock = clock
        # False without its guard: announcements are kept in memory alone.
        self.has_outbox = outbox
        self.outgoing: list[Outgoing] = []
        # By the id of what they are about, the contexts that announcements get (common.event_contexts); what is not in
        # here is announced with the context of the present work.
        self.contexts: dict[str, bytes] = {}
        # By table: what travels together sees one snapshot, so that two writes to one table would not see each other.
        self._writes: dict[str, tuple[str, Mapping[str, Any]]] = {}

    async def execute(self, sql: str, **params: Any) -> Rows:
        """Run one statement. Parameters are `:name`; cast with `cast(:name as type)`, never `:name::type`."""
        await self.flush()
        return await self.connection.execute(sql, params)

    async def write(self, table: str, sql: str, /, **params: Any) -> None:
        """Insert, update or delete in *table*, with its neighbours in one round trip: before the next statement of
        another kind, the next write to the same table, or the commit. What it raises is raised there.
        """
        assert _writes_to(sql, table), f"not an insert, update or delete of {table}"
        if table in self._writes:
            await self.flush()
        self._writes[table] = (sql, params)

    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Append *rows* to *table*: half the cost of an insert, on both sides, for rows that cannot be there yet."""
        await self.flush()
        await self.connection.copy(table, columns, rows)

    async def flush(self) -> None:
        """Send the writes that wait for company."""
        if self._writes:
            writes, self._writes = list(self._writes.values()), {}
            await self.connection.write(writes)


class Database:
    """Transactions of one service on a small, fixed pool (the fleet shares one budget of connections).

    *clock* and *random* are the process's own: what is delivered, leased and tried again goes by them. *sealer* seals
    and opens the personal data in the tables.
    """

    def __init__(
        self,
        engine: Engine,
        service: str,
        *,
        sealer: Sealer,
        clock: Clock = SYSTEM_CLOCK,
        random: Random = _JITTER,
        guards: Guards = ALL_GUARDS,
    ) -> None:
        self.engine = engine
        self.service = service
        self.sealer = sealer
        self.clock = clock
        self.random = random
        self.guards = guards
        # The relay sets this; until then announcements stay in the outbox for the sweeper.
        self.on_commit: Callable[[Sequence[Outgoing]], None] | None = None
        self._has_outbox = guards.has(OUTBOX)
        self._publishes_after_commit = guards.has(PUBLISH_AFTER_COMMIT)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Tx]:
        """One transaction: commits at the end of the block, rolls back when it raises."""
        async with self._engine().begin() as connection:
            tx = Tx(connection, self.service, self.sealer, self.clock, outbox=self._has_outbox)
            yield tx
            await tx.flush()
            if not self._publishes_after_commit:
                self._announce(tx)
        if self._publishes_after_commit:
            self._announce(tx)

    def _engine(self) -> Engine:
        """The engine, with a span for each transaction when the present work is traced."""
        traceparent = context.current().traceparent
        if not telemetry.is_sampled(traceparent):
            return self.engine
        return cast(Engine, TracedEngine(self.engine, traceparent))

    def _announce(self, tx: Tx) -> None:
        if tx.outgoing and self.on_commit is not None:
            self.on_commit(tx.outgoing)

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[Tx]:
        """For work that is one statement, which Postgres commits by itself: one round trip instead of three.

        Nothing is announced from here: an announcement and what it announces are two statements.
        """
        async with self._engine().autocommit() as connection:
            tx = Tx(connection, self.service, self.sealer, self.clock)
            yield tx
            await tx.flush()

    async def ping(self) -> None:
        async with self.autocommit() as tx:
            await tx.execute("select 1")


@asynccontextmanager
async def connect(
    url: str,
    *,
    service: str,
    sealer: Sealer,
    pool_size: int = 4,
    pooler: bool = False,
    least_rights: bool = False,
    command_timeout_seconds: float = 30,
    clock: Clock = SYSTEM_CLOCK,
    random: Random = _JITTER,
    guards: Guards = ALL_GUARDS,
) -> AsyncIterator[Database]:
    """Open the pool of one service.

    *url* is `postgresql://…` as common.database_urls reads it. *pooler*: it leads to a transaction pooler such as
    Neon's or PgBouncer, which hands each transaction to another session. *least_rights* has every connection refused
    with RoleTooPowerful whose role could get past what the schema forbids it.
    """
    options: dict[str, Any] = {"timeout": 5, **connect_arguments(url)}
    pool = await asyncpg.create_pool(
        **options,
        min_size=0,
        max_size=pool_size,
        max_queries=_UNLIMITED,
        max_inactive_connection_lifetime=0,
        init=partial(_prepare, least_rights=least_rights),
        reset=_no_reset,
        record_class=Row,
        command_timeout=command_timeout_seconds,
        # Prepared once for each connection, for its whole life: a plan does not depend on when it was made (the roles'
        # settings in common.bootstrap). A pooler hands each transaction to another session: nothing may be kept there.
        statement_cache_size=0 if pooler else 500,
        max_cached_statement_lifetime=0,
        server_settings={"application_name": service},
    )
    metrics.watch_pool(pool.get_size, pool.get_idle_size, pool_size)
    try:
        yield Database(Engine(pool), service, sealer=sealer, clock=clock, random=random, guards=guards)
    finally:
        await _closed(pool)


# Connections are not worn out by use.
_UNLIMITED = 2**62


# What stands before the text of a jsonb on the wire.
_JSONB_VERSION = b"\x01"


# What a role needs to get past its grants: a right over the whole server, or the schema's own.
_IS_TOO_POWERFUL = """
select rolsuper or rolcreaterole or rolreplication or rolbypassrls
    or exists (select from pg_namespace where nspname = current_schema() and pg_has_role(nspowner, 'member'))
from pg_roles where rolname = current_user
"""


async def _prepare(connection: asyncpg.Connection, *, least_rights: bool) -> None:
    # One transaction, so that a pooler keeps to one session.
    async with connection.transaction():
        if least_rights and await connection.fetchval(_IS_TOO_POWERFUL):
            raise RoleTooPowerful("DATABASE_URL must log in as the service's own role, which owns nothing")
        await _set_json_codecs(connection)


async def _set_json_codecs(connection: asyncpg.Connection) -> None:
    """JSON comes as what it says; it is sent as text. In binary, because that is what COPY speaks."""
    for name, prefix in (("json", b""), ("jsonb", _JSONB_VERSION)):
        await connection.set_type_codec(
            name,
            schema="pg_catalog",
            encoder=partial(_encode_json, prefix),
            decoder=partial(_decode_json, prefix),
            format="binary",
        )


def _encode_json(prefix: bytes, text: str) -> bytes:
    return prefix + text.encode()


def _decode_json(prefix: bytes, content: bytes) -> Any:
    return json.loads(content[len(prefix) :])


async def _no_reset(_: object) -> None:
    """Every transaction ends before its connection goes back, and nothing is set beyond one: no round trip is due."""


async def _closed(pool: "asyncpg.Pool[Any]") -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS_MAX):
            await pool.close()
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        pool.terminate()


def sqlstate(error: BaseException) -> str | None:
    """Postgres' own code of *error*, or None when it did not come from Postgres."""
    for cause in _chain(error):
        code = getattr(cause, "sqlstate", None)
        if isinstance(code, str):
            return code
    return None


def is_transient(error: BaseException) -> bool:
    """The infrastructure's fault, not the statement's: the same work may succeed later, unchanged."""
    code = sqlstate(error)
    if code is not None:
        return code.startswith(_TRANSIENT_CLASSES) or code == _LOCK_NOT_AVAILABLE
    # The driver says so without a code when it finds a connection or the pool closed; every other misuse is a bug.
    if isinstance(error, asyncpg.InterfaceError):
        return "clos" in str(error)
    return isinstance(error, (OSError, TimeoutError, asyncio.TimeoutError))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def retried(
    use_case: Callable[Concatenate[Database, P], Awaitable[R]],
) -> Callable[Concatenate[Database, P], Coroutine[Any, Any, R]]:
    """Try a use case again when it lost a race (deadlock, serialization, LostRace), up to five times with jitter.

    The use case must do all its work in transactions of *db* and nothing outside them.
    """

    @wraps(use_case)
    async def attempt_repeatedly(db: Database, /, *args: P.args, **kwargs: P.kwargs) -> R:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return await use_case(db, *args, **kwargs)
            except (asyncpg.PostgresError, LostRace) as error:
                if sqlstate(error) not in (DEADLOCK, SERIALIZATION) and not isinstance(error, LostRace):
                    raise
                if attempt == ATTEMPTS_MAX:
                    raise
                await asyncio.sleep(db.random.uniform(0, 0.01 * 2**attempt))
        raise AssertionError("unreachable")

    return attempt_repeatedly
