"""One scratch database with the schemas of the services under test, as a fleet has them; emptied between examples."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
from msgspec import Struct

from common import bootstrap, migrations
from common.database_urls import database_url
from common.testing.engines import RUN, Stack, password_of
from ops import invariants
from ops.invariants import Violation

SERVICES: Final = ("payment", "wallet", "ledger")
_OTHERS: Final = ("notifier.", "reconciler.", "fraud.", "identity.", "webhook_ingest.")
# Those that these three services can be judged by alone.
CHECKS: Final = {check: sql for check, sql in invariants.CHECKS.items() if not any(each in sql for each in _OTHERS)}
UNDER_WAY: Final = {check: sql for check, sql in CHECKS.items() if check in invariants.UNDER_WAY}

_TABLES = """
select format('%I.%I', schemaname, tablename) as name from pg_tables t
where schemaname = any($1) and tablename <> 'alembic_version' and not exists (
    select from pg_inherits where inhrelid = format('%I.%I', schemaname, tablename)::regclass)
"""


class ScratchDatabase(Struct):
    """The database as its administrator sees it. *scratch* are the tables that began empty."""

    admin: asyncpg.Connection
    url: str
    name: str
    passwords: dict[str, str]
    scratch: list[str] = []

    def url_of(self, service: str) -> str:
        """As the service itself sees it: with no more rights than in production."""
        return database_url(self.url, self.name, service, self.passwords[service])

    async def keep_what_is_there(self) -> None:
        """What there is now are seeds, and stay when the database is emptied."""
        names = [row["name"] for row in await self.admin.fetch(_TABLES, list(SERVICES))]
        self.scratch = [name for name in names if not await self.admin.fetchval(f"select exists (select from {name})")]

    async def empty(self) -> None:
        """As it was in the beginning."""
        filled = [name for name in self.scratch if await self.admin.fetchval(f"select exists (select from {name})")]
        if not filled:
            return
        async with self.admin.transaction():
            # Past the triggers that keep rows from being taken away.
            await self.admin.execute("set local session_replication_role = replica")
            await self.admin.execute(f"truncate {', '.join(filled)} cascade")

    async def violations(self, *, quiet: bool) -> Sequence[Violation]:
        """The invariants that do not hold: all of them when nothing is under way."""
        return await invariants.violated(self.admin, CHECKS if quiet else UNDER_WAY)


@asynccontextmanager
async def scratch_database(stack: Stack, number: int) -> AsyncIterator[ScratchDatabase]:
    """Make it, migrated; drop it at the end."""
    name = f"test_machine_{RUN}_{number}"
    roles = [role for service in SERVICES for role in (service, f"{service}_owner")]
    passwords = {role: stack.passwords.get(role) or password_of(role) for role in roles}
    await bootstrap.database(stack.superuser_url, name, passwords)
    url = database_url(stack.superuser_url, name)
    for service in SERVICES:
        owner = f"{service}_owner"
        await migrations.migrate(service, database_url(url, name, owner, passwords[owner]), service)
    admin = await asyncpg.connect(url)
    try:
        yield ScratchDatabase(admin, url, name, passwords)
    finally:
        await admin.close()
        server = await asyncpg.connect(stack.superuser_url)
        await server.execute(f'drop database "{name}" with (force)')
        await server.close()
