"""Passes over whole tables while the service serves: in batches of one short transaction, resumed where they stopped.

Re-encryption seals what is not sealed with the current key, rows from before sealing among them. Retention deletes or
clears what is older than the service keeps it. How far each has come is a row of `table_passes`, which whoever works
on it locks, so that replicas take turns.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from loguru import logger
from msgspec import Struct

from common import seals
from common.database import Database, Row, Tx, retried
from common.personal_data import PersonalData, PersonalTable, Retention
from common.seals import SealBroken, Sealer

BATCH_ROWS: Final = 500
# Between two batches of the background job, so that those who pay go first.
PAUSE_SECONDS: Final = 0.05

_BEGIN = """
insert into table_passes (pass, table_name)
select :pass, table_name from unnest(cast(:tables as text[])) as row (table_name) on conflict do nothing
"""
_LOCK = """
select cursor, rows_seen, rows_changed, completed_at is not null as completed from table_passes
where pass = :pass and table_name = :table for update
"""
_READ = """
select table_name, rows_seen, rows_changed, completed_at is not null as completed from table_passes where pass = :pass
"""
_SAVE = """
update table_passes set cursor = :cursor, rows_seen = rows_seen + :seen, rows_changed = rows_changed + :changed,
                        completed_at = case when :completed then now() end
where pass = :pass and table_name = :table
"""
_RESTART = """
update table_passes set cursor = '', rows_seen = 0, rows_changed = 0, completed_at = null
where pass = :pass and table_name = any(cast(:tables as text[]))
"""


class Progress(Struct, frozen=True):
    """How far a pass over one table has come."""

    table: str
    rows_seen: int
    rows_changed: int
    completed: bool


# ── Re-encryption ────────────────────────────────────────────────────────────────────────────────────────────────


async def restart_resealing(db: Database, data: PersonalData) -> None:
    """Have the pass with the current key begin anew."""
    names = [table.name for table in _sealed_tables(data)]
    async with db.begin() as tx:
        await tx.execute(_BEGIN, **{"pass": _resealing(db.sealer)}, tables=names)
        await tx.execute(_RESTART, **{"pass": _resealing(db.sealer)}, tables=names)


async def reseal_next(db: Database, data: PersonalData) -> list[Progress]:
    """Seal one batch with the current key, in the first table that has any left; how far all tables have come."""
    tables = _sealed_tables(data)
    progress = await _resealing_progress(db, tables)
    for index, table in enumerate(tables):
        if not progress[index].completed:
            progress[index] = await _reseal_batch(db, table, BATCH_ROWS)
            break
    return progress


async def _resealing_progress(db: Database, tables: Sequence[PersonalTable]) -> list[Progress]:
    """How far each of *tables* has come with the current key. Locks nothing: mostly all are completed."""
    async with db.autocommit() as tx:
        rows = {row["table_name"]: row for row in await tx.execute(_READ, **{"pass": _resealing(db.sealer)})}
    return [
        Progress(table.name, row["rows_seen"], row["rows_changed"], row["completed"])
        if (row := rows.get(table.name)) is not None
        else Progress(table.name, 0, 0, False)
        for table in tables
    ]


async def reseal_all(db: Database, data: PersonalData) -> None:
    """The background job: to the end, with pauses; nothing when that was done with this key."""
    changed = 0
    while True:
        progress = await reseal_next(db, data)
        if all(each.completed for each in progress):
            break
        changed = sum(each.rows_changed for each in progress)
        await asyncio.sleep(PAUSE_SECONDS)
    if changed:
        logger.info("{} rows were sealed with key {}", changed, db.sealer.key_id)


def _sealed_tables(data: PersonalData) -> list[PersonalTable]:
    return [table for table in data.tables if table.kinds]


def _resealing(sealer: Sealer) -> str:
    return f"seal:{sealer.key_id}"


@retried
async def _reseal_batch(db: Database, table: PersonalTable, rows_max: int) -> Progress:
    columns = list(table.kinds)
    read = (
        f"select {', '.join((table.key, *columns))} from {table.name} where {_after_cursor(table)} "
        f"order by {table.key} limit {rows_max} for no key update"
    )
    async with db.begin() as tx:
        before = await lock_pass(tx, _resealing(db.sealer), table.name)
        if before["completed"]:
            return Progress(table.name, before["rows_seen"], before["rows_changed"], before["completed"])
        rows = await tx.execute(read, cursor=before["cursor"])
        outdated = [row for row in rows if _is_outdated(table, row, db.sealer)]
        resealed = [values for row in outdated if (values := _resealed(table, row, db.sealer)) is not None]
        if resealed:
            columns_of_values = {name: [values[name] for values in resealed] for name in resealed[0]}
            await tx.execute(_update(table), **columns_of_values)
        return await save_pass(tx, _resealing(db.sealer), table.name, before, rows, len(resealed), rows_max)


def _is_outdated(table: PersonalTable, row: Row, sealer: Sealer) -> bool:
    return any(row[column] and seals.key_of(row[column]) != sealer.key_id for column in table.kinds)


def _resealed(table: PersonalTable, row: Row, sealer: Sealer) -> dict[str, Any] | None:
    """The parameters that change *row*, None when one of its values does not open: `key_uses` goes on to show it."""
    try:
        return _sealed_anew(table, row, sealer)
    except SealBroken:
        key_ids = sorted({key_id for column in table.kinds if (key_id := seals.key_of(row[column] or ""))})
        logger.bind(table=table.name, row=str(row[table.key]), keys=key_ids).error("a row cannot be sealed anew")
        return None


def _sealed_anew(table: PersonalTable, row: Row, sealer: Sealer) -> dict[str, Any]:
    """Raises SealBroken."""
    values: dict[str, Any] = {"keys": row[table.key]}
    for column, kind in table.sealed.items():
        values[column] = row[column] and sealer.seal(kind, sealer.open(kind, row[column]))
    for column, kind in table.sealed_bytes.items():
        values[column] = row[column] and sealer.seal_bytes(kind, sealer.open_bytes(kind, row[column]))
    for column, index in table.indexes.items():
        kind, text = table.sealed[index.source], row[index.source]
        values[column] = sealer.blind_index(kind, index.normalise(sealer.open(kind, text))) if text else None
    return values


def _update(table: PersonalTable) -> str:
    types = {**dict.fromkeys(table.sealed, "text"), **dict.fromkeys((*table.sealed_bytes, *table.indexes), "bytea")}
    changes = [f"{column} = c.{column}" for column in (*table.kinds,)]
    # The index of a value that was erased stays what erasure made it.
    changes += [f"{column} = coalesce(c.{column}, t.{column})" for column in table.indexes]
    changes += [f"{index.replaces} = null" for index in table.indexes.values() if index.replaces]
    arrays = "".join(f", cast(:{column} as {type}[])" for column, type in types.items())
    names = "".join(f", {column}" for column in types)
    return (
        f"update {table.name} t set {', '.join(changes)} from unnest(cast(:keys as {table.key_type}[]){arrays})"
        f" as c ({table.key}{names}) where t.{table.key} = c.{table.key}"
    )


# ── Which keys are still needed ──────────────────────────────────────────────────────────────────────────────────

# Envelopes hold sealed values among others; the head before each value names the key that it needs.
_ENVELOPES: Final = {
    "outbox": ("body", "published_at is null"),
    "intents": ("payload", "done_at is null"),
    "dead_letters": ("event", "true"),
}


class KeyUse(Struct, frozen=True):
    """So many values of a column are sealed with this key; no *key_id* for those that are not sealed."""

    table: str
    column: str
    key_id: str
    count: int


async def key_uses(db: Database, data: PersonalData) -> list[KeyUse]:
    """Which keys are still needed, column by column. Reads every row: for operators."""
    uses = []
    for table in _sealed_tables(data):
        for column in table.kinds:
            # What erasure put there says nothing of anybody.
            unless_erased = f" and {column} is distinct from {table.erased[column]}" if column in table.erased else ""
            text = f"encode(substring({column} from 1 for 24), 'escape')" if column in table.sealed_bytes else column
            query = (
                f"select coalesce(substring({text} from '^s1[.]([A-Za-z0-9_-]{{1,16}})[.]'), '') as key_id,"
                f" count(*) as number from {table.name} where length({column}) > 0{unless_erased} group by 1 order by 1"
            )
            async with db.begin() as tx:
                await tx.execute("set local statement_timeout = '5min'")
                uses += [KeyUse(table.name, column, row["key_id"], row["number"]) for row in await tx.execute(query)]
    for name, (column, condition) in _ENVELOPES.items():
        for key_id in db.sealer.key_ids:
            async with db.begin() as tx:
                query = f"select count(*) from {name} where {condition} and position(:head in {column}) > 0"
                number = (await tx.execute(query, head=f"s1.{key_id}.".encode())).scalar_one()
            if number:
                uses.append(KeyUse(name, column, key_id, number))
    return uses


# ── Retention ────────────────────────────────────────────────────────────────────────────────────────────────────


async def forget_old(db: Database, data: PersonalData) -> Mapping[str, int]:
    """Delete or clear, in batches, what is older than it is kept; how many rows of each table."""
    counts = {}
    for table in data.tables:
        if table.retention is not None:
            count = 0
            while batch_count := await _forget_batch(db, table, table.retention):
                count += batch_count
                await asyncio.sleep(PAUSE_SECONDS)
            counts[table.name] = count
    if any(counts.values()):
        logger.bind(rows=counts).info("what is older than it is kept was forgotten")
    return counts


@retried
async def _forget_batch(db: Database, table: PersonalTable, retention: Retention) -> int:
    """Forget one batch; of how many rows it was."""
    key, name = table.key, f"forget:{','.join(retention.cleared) or 'row'}"
    read = (
        f"select {key} from {table.name} where {_after_cursor(table)} and {key} < uuid_floor(:before) "
        f"order by {key} limit {BATCH_ROWS} for no key update"
    )
    changes = ", ".join(f"{column} = {value}" for column, value in retention.cleared.items())
    change = f"update {table.name} set {changes}" if changes else f"delete from {table.name}"
    async with db.begin() as tx:
        before = await lock_pass(tx, name, table.name)
        rows = await tx.execute(read, cursor=before["cursor"], before=db.clock.now() - retention.keep)
        if rows:
            keys = [row[key] for row in rows]
            await tx.execute(f"{change} where {key} = any(cast(:keys as {table.key_type}[]))", keys=keys)
        await save_pass(tx, name, table.name, before, rows, len(rows), BATCH_ROWS)
    return len(rows)


# ── The row of a pass ────────────────────────────────────────────────────────────────────────────────────────────


def _after_cursor(table: PersonalTable) -> str:
    """A range of the primary key's index; an empty cursor stands before everything."""
    first = "00000000-0000-0000-0000-000000000000" if table.key_type == "uuid" else ""
    return f"{table.key} > cast(coalesce(nullif(cast(:cursor as text), ''), '{first}') as {table.key_type})"


async def lock_pass(tx: Tx, name: str, table: str) -> Row:
    """How far pass *name* over *table* has come; other workers on it wait until *tx* ends."""
    await tx.execute(_BEGIN, **{"pass": name}, tables=[table])
    return (await tx.execute(_LOCK, **{"pass": name}, table=table)).one()


async def save_pass(
    tx: Tx, name: str, table: str, before: Row, rows: Sequence[Row], changed: int, rows_max: int
) -> Progress:
    """A batch of *rows*, whose first column is their key, is done; fewer than *rows_max* were the last ones."""
    completed = len(rows) < rows_max
    cursor = str(rows[-1][0]) if rows else before["cursor"]
    await tx.execute(
        _SAVE, **{"pass": name}, table=table, cursor=cursor, seen=len(rows), changed=changed, completed=completed
    )
    return Progress(table, before["rows_seen"] + len(rows), before["rows_changed"] + changed, completed)
