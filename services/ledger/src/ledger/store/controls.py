"""Closed periods, frozen accounts, batches of manual journals."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from common.database import Row, Tx
from ledger.domain.adjustments import ManualBatch, ManualJournal
from ledger.domain.chart import ACCOUNTS
from ledger.domain.controls import ClosedPeriod, Freeze

_PERIODS = """
select merchant_id, closed_until, closed_at, closed_by, reason from closed_periods
where merchant_id = :merchant_id and (cast(:before as timestamptz) is null or closed_until < :before)
order by closed_until desc limit :limit
"""
_ADD_PERIOD = """
insert into closed_periods (merchant_id, closed_until, closed_at, closed_by, reason)
values (:merchant_id, :closed_until, :closed_at, :closed_by, :reason)
"""


async def lock_journals(tx: Tx) -> None:
    """Wait for those who post, and have the others wait until *tx* ends: nothing is booked past what it decides."""
    await tx.execute("select lock_journals()")


async def closed_periods(
    tx: Tx, merchant_id: str, limit: int = 1, before: datetime | None = None
) -> list[ClosedPeriod]:
    """A merchant's closed periods, the last one first."""
    rows = await tx.execute(_PERIODS, merchant_id=merchant_id, before=before, limit=limit)
    return [ClosedPeriod(row.merchant_id, row.closed_until, row.closed_at, row.closed_by, row.reason) for row in rows]


async def add_period(tx: Tx, period: ClosedPeriod) -> None:
    await tx.write("closed_periods", _ADD_PERIOD, **msgspec.structs.asdict(period))


_FREEZES = """
select freeze_id, merchant_id, code as account, frozen_at, frozen_by, reason, unfrozen_at, unfrozen_by, unfreeze_reason
from account_freezes join accounts using (account_id)
where merchant_id = :merchant_id and (cast(:account_id as integer) is null or account_id = :account_id)
  and (not :open or unfrozen_at is null)
order by freeze_id desc limit :limit
"""
_ADD_FREEZE = """
insert into account_freezes (freeze_id, merchant_id, account_id, frozen_at, frozen_by, reason)
values (:freeze_id, :merchant_id, :account_id, :frozen_at, :frozen_by, :reason)
"""
_UNFREEZE = """
update account_freezes set unfrozen_at = :unfrozen_at, unfrozen_by = :unfrozen_by, unfreeze_reason = :unfreeze_reason
where freeze_id = :freeze_id and unfrozen_at is null
"""


async def freezes(
    tx: Tx, merchant_id: str, *, account: str | None = None, is_open: bool = True, limit: int = 100
) -> list[Freeze]:
    """A merchant's frozen accounts, newest first; with *is_open* off those that were unfrozen as well."""
    account_id = ACCOUNTS[account].number if account else None
    rows = await tx.execute(_FREEZES, merchant_id=merchant_id, account_id=account_id, open=is_open, limit=limit)
    return [Freeze(**{name: row[name] for name in Freeze.__struct_fields__}) for row in rows]


async def add_freeze(tx: Tx, freeze: Freeze) -> None:
    await tx.write(
        "account_freezes",
        _ADD_FREEZE,
        freeze_id=freeze.freeze_id,
        merchant_id=freeze.merchant_id,
        account_id=ACCOUNTS[freeze.account].number,
        frozen_at=freeze.frozen_at,
        frozen_by=freeze.frozen_by,
        reason=freeze.reason,
    )


async def save_unfreeze(tx: Tx, freeze: Freeze) -> None:
    await tx.write(
        "account_freezes",
        _UNFREEZE,
        freeze_id=freeze.freeze_id,
        unfrozen_at=freeze.unfrozen_at,
        unfrozen_by=freeze.unfrozen_by,
        unfreeze_reason=freeze.unfreeze_reason,
    )


_ADD_BATCH = """
insert into manual_batches (batch_id, merchant_id, key, content, proposed_by, reason, proposed_at)
values (:batch_id, :merchant_id, :key, cast(cast(:content as text) as jsonb), :proposed_by, :reason, :proposed_at)
on conflict do nothing returning batch_id
"""
_BATCH = """
select batch_id, merchant_id, key, cast(content as text) as content, proposed_by, reason, proposed_at
from manual_batches where batch_id = :batch_id
"""


async def add_batch(tx: Tx, batch: ManualBatch) -> bool:
    """Keep *batch*; False when there is one of its key."""
    rows = await tx.execute(
        _ADD_BATCH,
        batch_id=batch.batch_id,
        merchant_id=batch.merchant_id,
        key=batch.key,
        content=msgspec.json.encode(batch.journals).decode(),
        proposed_by=batch.proposed_by,
        reason=batch.reason,
        proposed_at=batch.proposed_at,
    )
    return bool(rows)


async def batch_of(tx: Tx, batch_id: UUID) -> ManualBatch | None:
    rows = await tx.execute(_BATCH, batch_id=batch_id)
    return _batch(rows[0]) if rows else None


def _batch(row: Row) -> ManualBatch:
    journals = msgspec.json.decode(row.content, type=list[ManualJournal])
    return ManualBatch(row.batch_id, row.merchant_id, row.key, journals, row.proposed_by, row.reason, row.proposed_at)


_JOURNAL = """
select journal_id, merchant_id, template, asset, cause_id, reference_prefix, reference, payment_id, effective_at,
       actor_id, owner_id, reverses, exists (
           select from journals reversal where reversal.reverses = journals.journal_id
       ) as is_reversed
from journals where journal_id = any(cast(:ids as uuid[])) order by journal_id
"""
_ENTRIES = """
select journal_id, account_id, debit, credit from ledger_entries where journal_id = any(cast(:ids as uuid[]))
order by journal_id, line
"""


async def journal_rows(tx: Tx, ids: Sequence[UUID]) -> tuple[Sequence[Row], Sequence[Row]]:
    """Journals by id, and their entries in the order of their lines."""
    return await tx.execute(_JOURNAL, ids=list(ids)), await tx.execute(_ENTRIES, ids=list(ids))
