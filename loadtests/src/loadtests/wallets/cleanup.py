"""Removes everything that a bench wrote, whether it passed or failed, so that the stack is as it was.

Millions of rows in append-only tables cannot be deleted row by row within reason, and nothing may delete there at all
but the cluster's superuser with the triggers off: what is not the bench's is put aside, the table emptied and what was
put aside written back as it was, all in one transaction. The space is free at once.
"""

from uuid import UUID

import asyncpg

from loadtests.wallets import plan

_OURS = f"'{plan.MERCHANT_ID}'"

# Table → which of its rows stay. Envelopes are of the time of the bench ($1 is its first): a stack under a bench has
# nothing else to say, and what it says all the same was delivered when the bench ended.
_STAYS: dict[str, str] = {
    "ledger.ledger_entries": (
        f"not exists (select from ledger.journals j where j.journal_id = t.journal_id and j.merchant_id = {_OURS})"
    ),
    "ledger.journals": f"merchant_id <> {_OURS}",
    "ledger.audit_logs": f"merchant_id <> {_OURS}",
    "wallet.credit_lots": (
        f"not exists (select from wallet.wallets w where w.wallet_id = t.wallet_id and w.merchant_id = {_OURS})"
    ),
    "wallet.wallet_transactions": f"merchant_id <> {_OURS}",
    "wallet.operation_keys": f"merchant_id <> {_OURS}",
    "wallet.wallets": f"merchant_id <> {_OURS}",
    "wallet.outbox": "envelope_id < $1",
    "wallet.inbox": "envelope_id < $1",
    "ledger.inbox": "envelope_id < $1",
}
# Sums of the book, which the ledger makes anew.
_COMPUTED = ("ledger.balance_snapshots", "ledger.journal_snapshots")


# A generated column cannot be written.
_COLUMNS = """
    select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
    where attrelid = to_regclass($1) and attnum > 0 and not attisdropped and attgenerated = ''
"""
SECONDS_MAX = 900.0


async def clean(db: asyncpg.Connection, first_envelope: UUID) -> None:
    """Remove what was written for the bench's merchant, and envelopes from *first_envelope* on."""
    async with db.transaction():
        await db.execute("set local session_replication_role = replica")
        await db.execute(f"lock table {', '.join((*_STAYS, *_COMPUTED))} in access exclusive mode", timeout=60)
        columns = {table: await db.fetchval(_COLUMNS, table) for table in _STAYS}
        for number, (table, stays) in enumerate(_STAYS.items()):
            given = [first_envelope] if "$1" in stays else []
            await db.execute(f"create temp table kept_{number} (like {table}) on commit drop")
            put_aside = f"insert into kept_{number} select * from {table} t where {stays}"
            await db.execute(put_aside, *given, timeout=SECONDS_MAX)
        await db.execute(f"truncate {', '.join((*_STAYS, *_COMPUTED))}")
        for number, (table, names) in enumerate(columns.items()):
            write_back = f"insert into {table} ({names}) select {names} from kept_{number}"
            await db.execute(write_back, timeout=SECONDS_MAX)
