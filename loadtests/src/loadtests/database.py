"""What a run left in PostgreSQL: rows, WAL and bytes, and when each payment reached each step of its life."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self
from uuid import UUID

import asyncpg
from msgspec import Struct

from common import ids

# Steps that complete a payment, each with the statement that says when: payment → seconds since 1970. Times are those
# that the services themselves wrote, by the one clock of this machine. $1 are the payments' ids, $2 the same as the
# prefixed texts that other schemas know them by, $3 is the run's start.
STEPS: dict[str, str] = {
    "webhook": """
        select p.id, min(w.received_at) as at from payment.payments p
        join webhook_ingest.webhook_logs w on w.order_id = p.order_id where p.id = any($1) group by 1""",
    "success": """
        select payment_id as id, at from payment.payment_history
        where payment_id = any($1) and to_status = 'SUCCESS'""",
    "credits": """
        select known.id, t.created_at as at from wallet.wallet_transactions t
        join unnest($1::uuid[], $2::text[]) known (id, name) on known.name = t.source_id
        where t.type = 'GRANT' and t.created_at >= to_timestamp($3)""",
    "INR journal": """
        select reference as id, max(booked_at) as at from ledger.journals
        where reference = any($1) and reference_prefix = 'pay' and asset = 'INR' group by 1""",
    "CREDIT journal": """
        select payment_id as id, max(booked_at) as at from ledger.journals
        where payment_id = any($1) and asset = 'CREDIT' group by 1""",
    "invoice": "select payment_id as id, issued_at as at from payment.invoices where payment_id = any($1)",
    "mail": """
        select payment_id as id, max(finished_at) as at from notifier.emails
        where payment_id = any($1) and status = 'SENT' and key like 'payment-success:%' group by 1""",
}

# Bytes of all WAL that an instance ever wrote.
WAL_LSN = "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"

_ROWS = """
    select s.schemaname as schema, coalesce(parent.relname, s.relname) as table,
           sum(s.n_tup_ins + s.n_tup_upd + s.n_tup_del)::bigint as written
    from pg_stat_user_tables s
    left join pg_inherits i on i.inhrelid = s.relid left join pg_class parent on parent.oid = i.inhparent
    group by 1, 2
"""


class Written(Struct, frozen=True):
    """Counters of the database; only their differences say something."""

    wal_lsn: int
    disk_bytes: int
    rows: Mapping[str, int]
    """Rows written (inserted, updated or deleted) by "schema.table"."""

    def since(self, earlier: Self) -> dict[str, Any]:
        rows = {table: count - earlier.rows.get(table, 0) for table, count in self.rows.items()}
        return {
            "wal_bytes": self.wal_lsn - earlier.wal_lsn,
            "disk_bytes": self.disk_bytes - earlier.disk_bytes,
            "rows": {table: count for table, count in sorted(rows.items(), key=lambda item: -item[1]) if count > 0},
        }


@asynccontextmanager
async def connect(description: Mapping[str, Any]) -> AsyncIterator[asyncpg.Connection]:
    """The stack's own database, as its superuser: a bench looks over all schemas and writes in none of them."""
    known = description["postgresql"]
    connection = await asyncpg.connect(
        host=known["host"],
        port=known["port"],
        user=known["user"],
        password=known["password"],
        database=known["database"],
        timeout=5,
        command_timeout=120,
        # Whatever is asked here is charged to this one backend, and never to helpers of its own.
        server_settings={"max_parallel_workers_per_gather": "0", "jit": "off"},
    )
    try:
        yield connection
    finally:
        await connection.close()


async def written(description: Mapping[str, Any]) -> Written:
    """The counters now, of all instances. PostgreSQL adds a backend's rows within a second of its last work."""
    wal_lsn, disk_bytes = 0, 0
    rows: dict[str, int] = {}
    for url in sorted(set(description["postgresql"]["schema_urls"].values())):
        db = await asyncpg.connect(url, timeout=5, command_timeout=120)
        try:
            wal_lsn += await db.fetchval(WAL_LSN)
            disk_bytes += await db.fetchval("select pg_database_size(current_database())")
            rows |= {f"{row['schema']}.{row['table']}": row["written"] for row in await db.fetch(_ROWS)}
        finally:
            await db.close()
    return Written(wal_lsn, disk_bytes, rows)


async def reached(db: asyncpg.Connection, payment_ids: Sequence[str], since: float) -> dict[str, dict[UUID, float]]:
    """When each payment reached each step, in seconds since 1970."""
    given = {"$1": [ids.decode("pay", payment_id) for payment_id in payment_ids], "$2": list(payment_ids), "$3": since}
    found = {}
    for step, sql in STEPS.items():
        used = [value for name, value in given.items() if name in sql]
        rows = await db.fetch(f"select id, extract(epoch from at)::float8 as at from ({sql}) reached", *used)
        found[step] = {row["id"]: row["at"] for row in rows}
    return found


def completed(steps: Mapping[str, Mapping[UUID, float]]) -> dict[UUID, float]:
    """When each payment that reached every step was complete."""
    everywhere = set.intersection(*(set(times) for times in steps.values()))
    return {payment: max(times[payment] for times in steps.values()) for payment in everywhere}
