"""Sums over a growing table at a cost that does not grow with it: what is final is summed up once and kept.

The rows are only ever added, under UUIDv7 keys, so those with an old key are final: their sums are a checkpoint, and a
later look adds the rows since. A row that is changed behind the checkpoint, which no service's rights allow, is found
by adding everything up again.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec
from loguru import logger
from sqlalchemy import Column, DateTime, MetaData, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from common import ids
from common.database import Statement, Tx

Totals = Callable[[Tx], Awaitable[Mapping[str, int]]]

# How much older than the oldest running transaction a key must be to be final: ids are made before their transaction
# begins, and by clocks of other machines.
MARGIN: Final = timedelta(minutes=5)
_FIRST, _LAST = UUID(int=0), UUID(int=2**128 - 1)

# Transactions of this service's own user; others may not write to its tables.
_SETTLED = """
select least(now(), min(xact_start)) as settled from pg_stat_activity where usename = current_user
"""
_CLAIM = "select pg_try_advisory_xact_lock(hashtextextended('checkpoints.' || :name, 0))"
_READ = "select up_to, cast(sums as text) as sums from checkpoints where name = :name"
_SAVE = Statement(
    "checkpoints.save",
    """
insert into checkpoints (name, up_to, sums) values (:name, :up_to, cast(cast(:sums as text) as jsonb))
on conflict (name) do update set up_to = excluded.up_to, sums = excluded.sums, taken_at = now()
""",
)
# Every row is added up once a day, whatever the checkpoint says.
VERIFY_EVERY: Final = timedelta(days=1)
MISMATCHED: Final = ".mismatched"
_VERIFIED: Final = "verified"
_READ_VERIFIED = """
select cast(sums as text) as sums, taken_at < now() - cast(:every as interval) as is_due from checkpoints
where name = :name
"""
_decode = msgspec.json.Decoder(dict[str, int]).decode


def table(metadata: MetaData) -> Table:
    """The checkpoints of a service that has some, as its migration makes them."""
    return Table(
        "checkpoints",
        metadata,
        Column("name", Text, primary_key=True),
        Column("up_to", Uuid, nullable=False),
        Column("sums", JSONB, nullable=False),
        Column("taken_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    )


async def sums(tx: Tx, name: str, statement: str, margin: timedelta = MARGIN) -> dict[str, int]:
    """What *statement* adds up over the whole table, read from the checkpoint on, which moves up meanwhile.

    *statement* returns one row of sums over the keys from `:after` on and before `:before`. *tx* sees one snapshot.
    """
    stored = (await tx.execute(_READ, name=name)).first()
    after, final = (stored["up_to"], _decode(stored["sums"])) if stored else (_FIRST, {})
    settled = (await tx.execute(_SETTLED)).scalar_one()
    up_to = max(after, ids.lower_bound(settled - margin))
    if up_to > after:
        final = _added(final, await _between(tx, statement, after, up_to))
    if up_to > after and (await tx.execute(_CLAIM, name=name)).scalar_one():
        await tx.execute(_SAVE, name=name, up_to=up_to, sums=msgspec.json.encode(final).decode())
    return _added(final, await _between(tx, statement, up_to, _LAST))


async def since(tx: Tx, name: str) -> UUID:
    """The key from which `sums` reads the next time."""
    stored = (await tx.execute(_READ, name=name)).first()
    return stored["up_to"] if stored else _FIRST


async def verified(tx: Tx, totals: Totals, recent: dict[str, int], *, now: bool) -> dict[str, int]:
    """*recent* totals, and what adding up every row showed: when *now* is asked for, or else every VERIFY_EVERY.

    `checkpoints.mismatched` counts the names whose totals are others. What *totals* count as mismatched stays so until
    every row is added up again.
    """
    stored = (await tx.execute(_READ_VERIFIED, name=_VERIFIED, every=VERIFY_EVERY)).first()
    if now or stored is None or stored["is_due"]:
        whole = await totals(tx)
        found = {name: value for name, value in whole.items() if name.endswith(MISMATCHED)}
        differing = [n for n, value in recent.items() if not n.endswith(MISMATCHED) and whole.get(n, 0) != value]
        if differing:
            logger.error("the checkpoint does not agree with all rows: {}", ", ".join(sorted(differing)))
        found[f"checkpoints{MISMATCHED}"] = len(differing)
        if (await tx.execute(_CLAIM, name=_VERIFIED)).scalar_one():
            await tx.execute(_SAVE, name=_VERIFIED, up_to=_FIRST, sums=msgspec.json.encode(found).decode())
    else:
        found = _decode(stored["sums"])
    return recent | {name: max(value, recent.get(name, 0)) for name, value in found.items()}


async def _between(tx: Tx, statement: str, after: UUID, before: UUID) -> dict[str, int]:
    row = (await tx.execute(statement, after=after, before=before)).one()
    return {name: int(value or 0) for name, value in row.items()}


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
