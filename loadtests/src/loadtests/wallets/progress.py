"""What a wallet bench reads from the stack while it runs and afterwards: progress, CPU, bytes, and the books."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from loadtests import database, metrics
from loadtests.processes import Processes, Snapshot
from loadtests.run import GENERATOR, fetch
from loadtests.wallets import plan
from loadtests.wallets.throughput import Booked
from ops import invariants

POLL_SECONDS = 0.5
# The services whose PostgreSQL backends are counted apart from the rest of it.
_BACKENDS = ("wallet", "ledger")

_SIZES = """
    select coalesce(sum(pg_table_size(c.oid)), 0)::bigint as tables,
           coalesce(sum(pg_indexes_size(c.oid)), 0)::bigint as indexes
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('wallet', 'ledger') and c.relkind = 'r'
"""

_BOOKED = """
    select extract(epoch from booked_at)::float8 as at, count(*) as journals from ledger.journals
    where merchant_id = $1 and asset = 'CREDIT' and booked_at >= to_timestamp($2) group by booked_at order by booked_at
"""

# Each transaction leaves exactly one of these.
COUNTS: dict[str, str] = {
    "wallet transactions": "select count(*) from wallet.wallet_transactions where merchant_id = $1",
    "operation keys": "select count(*) from wallet.operation_keys where merchant_id = $1",
    "ledger journals": "select count(*) from ledger.journals where merchant_id = $1",
}

WRONG: dict[str, str] = {
    "wallets whose balance is not the sum of their transactions": """
        select count(*) from wallet.wallets w
        left join (select wallet_id, sum(credits) as credits, count(*) as number
                   from wallet.wallet_transactions group by 1) t using (wallet_id)
        where w.available <> coalesce(t.credits, 0) or w.seq <> coalesce(t.number, 0)""",
    "accounts on which the books differ from the wallets' transactions": """
        select count(*) from
            (select coalesce(sum(credits_paid), 0) as paid, coalesce(sum(credits_bonus), 0) as bonus
             from wallet.wallet_transactions) w,
            (select coalesce(sum(credit - debit) filter (where code = 'wallets:paid'), 0) as paid,
                    coalesce(sum(credit - debit) filter (where code = 'wallets:bonus'), 0) as bonus
             from ledger.ledger_entries join ledger.accounts using (account_id)) l
        where w.paid <> l.paid or w.bonus <> l.bonus""",
    "assets whose trial balance is not zero": """
        select count(*) from (
            select from ledger.ledger_entries join ledger.accounts using (account_id)
            group by asset having sum(debit) <> sum(credit)) a""",
}


class Progress:
    """How many events the ledger has booked since `start`, read from its metrics: cheaper than any query."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        self._url = f"{description['services']['ledger']['http']}/metrics"
        self._moved = asyncio.Condition()
        self._base = 0
        self.booked = 0
        self.booked_at = 0.0
        """When `booked` was last seen to move, in seconds since 1970."""

    async def start(self) -> None:
        self._base, self.booked, self.booked_at = await self._read(), 0, time.time()

    async def run(self) -> None:
        """Poll until cancelled. Raises TimeoutError when nothing moves for too long."""
        moved_at = time.monotonic()
        while True:
            await asyncio.sleep(POLL_SECONDS)
            booked = await self._read() - self._base
            if booked != self.booked:
                moved_at = time.monotonic()
                async with self._moved:
                    self.booked, self.booked_at = booked, time.time()
                    self._moved.notify_all()
            elif time.monotonic() - moved_at > plan.STALLED_SECONDS_MAX:
                raise TimeoutError(f"the ledger has not moved from {booked:,} for {plan.STALLED_SECONDS_MAX:.0f} s")

    async def until(self, booked: int) -> None:
        """Wait until the ledger has booked so many."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.booked >= booked)

    async def _read(self) -> int:
        samples = metrics.parse((await fetch(self._url)).decode())
        return int(metrics.total(samples, "commdesk_queue_batch_events_sum", queue="ledger.posting"))


async def cpu(description: Mapping[str, Any], db: asyncpg.Connection) -> Snapshot:
    """CPU seconds by process now, PostgreSQL's by the service that each backend serves."""
    rows = await db.fetch(
        "select application_name as name, pid from pg_stat_activity where backend_type like 'client%'"
    )
    backends = {
        f"postgresql: {row['name']} #{row['pid']}": row["pid"]
        for row in rows
        if row["name"] in _BACKENDS or row["pid"] == db.get_server_pid()
    }
    return Processes({**description["pids"], GENERATOR: os.getpid()} | backends).snapshot()


def cpu_between(before: Snapshot, after: Snapshot) -> tuple[dict[str, float], float]:
    """CPU seconds by process, the bench's own queries left out, and those of the whole machine."""
    found: dict[str, float] = {}
    own_queries = 0.0
    for name, seconds in after.since(before).items():
        group = name.partition(" #")[0]
        if group == "postgresql: ":
            own_queries += seconds
            continue
        if group == "postgresql":
            group = "postgresql: rest"
        found[group] = found.get(group, 0.0) + seconds
    return found, after.machine - before.machine - own_queries


async def sizes(db: asyncpg.Connection) -> dict[str, int]:
    """Bytes of the wallet's and the ledger's tables and indexes, and of all WAL ever written."""
    row = await db.fetchrow(_SIZES)
    assert row is not None
    wal = await db.fetchval(database.WAL_LSN)
    return {"tables": row["tables"], "indexes": row["indexes"], "wal": wal}


async def booked(db: asyncpg.Connection, since: float) -> list[Booked]:
    """The bench's journals by the moment of their batch."""
    rows = await db.fetch(_BOOKED, plan.MERCHANT_ID, since, timeout=600)
    return [Booked(row["at"], row["journals"]) for row in rows]


async def rows(db: asyncpg.Connection) -> dict[str, int]:
    """How many there are of what each transaction leaves one of; those that an earlier bench kept are included."""
    return {name: await db.fetchval(sql, plan.MERCHANT_ID, timeout=600) for name, sql in COUNTS.items()}


async def problems(
    db: asyncpg.Connection, description: Mapping[str, Any], found: Mapping[str, int], transactions: int
) -> list[str]:
    """Everything that does not add up: the rows *found*, the sums of both books, and the fleet's invariants but those
    about payments, which these grants do not have."""
    wrong = [f"{count:,} {name} of {transactions:,}" for name, count in found.items() if count != transactions]
    for name, sql in WRONG.items():
        if number := await db.fetchval(sql, timeout=600):
            wrong.append(f"{number} {name}")
    broken = await invariants.violations(description, without=unpaid_checks())
    return wrong + [str(violation) for violation in broken]


def unpaid_checks() -> Sequence[str]:
    """The invariants that compare with payments."""
    return [name for name, sql in invariants.CHECKS.items() if "payment.payments" in sql]
