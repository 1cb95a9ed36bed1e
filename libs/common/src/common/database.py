"""One Postgres database as one service sees it: transactions that announce, and retries of lost races."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from functools import lru_cache, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import CursorResult, TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from common.errors import Unavailable

# Lost races: the whole transaction may simply be tried again.
DEADLOCK, SERIALIZATION = "40P01", "40001"
ATTEMPTS_MAX = 5
# SQLSTATE classes that say "not now", not "not so": connection, lost race, resources, operator intervention, system.
_TRANSIENT_CLASSES = ("08", "40", "53", "57", "58")
_LOCK_NOT_AVAILABLE = "55P03"

P = ParamSpec("P")
R = TypeVar("R")


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached or is out of connections."""

    fix = "Try again after the time in Retry-After; nothing was changed."


@lru_cache(maxsize=1024)
def _statement(sql: str) -> TextClause:
    return text(sql)


class Tx:
    """One open transaction. What `outbox.append` puts into `outgoing` is published after the commit."""

    __slots__ = ("connection", "outgoing", "service")

    def __init__(self, connection: AsyncConnection, service: str) -> None:
        self.connection = connection
        self.service = service
        self.outgoing: list[Any] = []

    async def execute(self, sql: str, **params: Any) -> CursorResult[Any]:
        """Run one statement. Parameters are `:name`; cast with `cast(:name as type)`, never `:name::type`."""
        return await self.connection.execute(_statement(sql), params)


class Database:
    """Transactions of one service on a small, fixed pool (the fleet shares one budget of connections)."""

    def __init__(self, engine: AsyncEngine, service: str) -> None:
        self.engine = engine
        self.service = service
        # The relay sets this; until then announcements stay in the outbox for the sweeper.
        self.on_commit: Callable[[list[Any]], None] | None = None

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Tx]:
        """One transaction: commits at the end of the block, rolls back when it raises."""
        async with self.engine.begin() as connection:
            tx = Tx(connection, self.service)
            yield tx
        if tx.outgoing and self.on_commit is not None:
            self.on_commit(tx.outgoing)

    async def ping(self) -> None:
        async with self.engine.connect() as connection:
            await connection.execute(_statement("select 1"))


@asynccontextmanager
async def connect(
    url: str, *, service: str, pool_size: int = 4, pooler: bool = False, command_timeout_seconds: float = 30
) -> AsyncIterator[Database]:
    """Open the pool of one service.

    *url* is `postgresql://…` (any driver suffix is replaced). *pooler* turns the statement cache off for transaction
    poolers such as Neon's or PgBouncer's, which hand each transaction to another session.
    """
    options: dict[str, Any] = {
        "timeout": 5,
        "command_timeout": command_timeout_seconds,
        "server_settings": {"application_name": service},
    }
    if pooler:
        options |= {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    else:
        # Its plan does not depend on when it was made (common.bootstrap's settings of the roles): it is kept for ever.
        options |= {"max_cached_statement_lifetime": 0, "prepared_statement_cache_size": 500}
    engine = create_async_engine(
        driver_url(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_reset_on_return=None,
        connect_args=options,
    )
    try:
        yield Database(engine, service)
    finally:
        await engine.dispose()


def driver_url(url: str) -> str:
    """The same address with the driver that we use."""
    scheme, _, rest = url.partition("://")
    if scheme.split("+")[0] not in ("postgresql", "postgres"):
        raise ValueError("a database URL starts with postgresql://")
    return f"postgresql+asyncpg://{rest}"


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
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or any(
            isinstance(cause, (OSError, TimeoutError, asyncio.TimeoutError)) for cause in _chain(error)
        )
    # asyncpg's connection errors without a code, SQLAlchemy's pool time-out, plain sockets.
    return isinstance(error, (OSError, TimeoutError, asyncio.TimeoutError)) or (
        type(error).__module__.startswith(("sqlalchemy.exc", "asyncpg.exceptions"))
        and type(error).__name__ in ("TimeoutError", "InterfaceError", "ConnectionDoesNotExistError")
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        original = getattr(error, "orig", None)
        error = original if isinstance(original, BaseException) else error.__cause__ or error.__context__


def retried(
    use_case: Callable[Concatenate[Database, P], Awaitable[R]],
) -> Callable[Concatenate[Database, P], Coroutine[Any, Any, R]]:
    """Try a use case again when it lost a race (deadlock, serialization), up to five times with jitter.

    The use case must do all its work in transactions of *db* and nothing outside them.
    """

    @wraps(use_case)
    async def tried(db: Database, /, *args: P.args, **kwargs: P.kwargs) -> R:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return await use_case(db, *args, **kwargs)
            except DBAPIError as error:
                if sqlstate(error) not in (DEADLOCK, SERIALIZATION) or attempt == ATTEMPTS_MAX:
                    raise
                await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - jitter, not a secret
        raise AssertionError("unreachable")

    return tried
