"""Where audited actions came from: sealed under a key for each actor, which may be destroyed.

Those keys lie in `subject_keys`, sealed themselves with the fleet's, so that rotation reaches an append-only log.
"""

import os
from collections.abc import Collection, Sequence

from msgspec.structs import replace

from common.database import Database, Tx
from common.seals import IP, KEY_BYTES, USER_AGENT, Sealer, is_sealed
from common.table_passes import BATCH_ROWS, lock_pass, save_pass
from ledger.domain.audit import AuditRecord

SUBJECT_KEY = "subject.key"

_PASS = "seal:origins"  # noqa: S105 - a name
_INSERT_KEYS = """
insert into subject_keys (subject, key)
select subject, key from unnest(cast(:subjects as text[]), cast(:keys as bytea[])) as row (subject, key)
on conflict do nothing
"""
_KEYS = "select subject, key from subject_keys where subject = any(cast(:subjects as text[]))"
_COMPLETED = "select exists (select from table_passes where pass = :pass and completed_at is not null)"
_UNSEALED = """
select audit_id, coalesce(actor_id, '') as actor_id, coalesce(ip_address, '') as ip_address,
       coalesce(user_agent, '') as user_agent
from audit_logs
where audit_id > cast(coalesce(nullif(cast(:cursor as text), ''), '00000000-0000-0000-0000-000000000000') as uuid)
order by audit_id limit :limit
"""


async def sealed(tx: Tx, records: Sequence[AuditRecord]) -> list[AuditRecord]:
    """*records* with what only the keys of their actors open. Raises SealBroken.

    An actor whose key was destroyed leaves no address any more.
    """
    actors = {record.actor_id for record in records if record.ip_address or record.user_agent}
    if not actors:
        return list(records)
    missing = actors - (existing := await _keys(tx, actors)).keys()
    if missing:
        subjects = sorted(missing)
        keys = [tx.sealer.seal_bytes(SUBJECT_KEY, os.urandom(KEY_BYTES)) for _ in subjects]
        await tx.execute(_INSERT_KEYS, subjects=subjects, keys=keys)
        existing |= await _keys(tx, missing)
    return [_sealed(record, existing.get(record.actor_id), tx.sealer) for record in records]


async def opened(tx: Tx, records: Sequence[AuditRecord]) -> list[AuditRecord]:
    """*records* with their addresses and agents, as far as the keys of their actors exist."""
    keys = await _keys(tx, {record.actor_id for record in records})
    return [_opened(record, keys.get(record.actor_id)) for record in records]


async def seal_old(db: Database) -> None:
    """Seal the rows that are from before sealing, in batches, once and for all."""
    while not await _seal_batch(db):
        pass


async def are_old_sealed(tx: Tx) -> bool:
    """Whether that is done, so that no row of the log changes any more."""
    rows = await tx.execute(_COMPLETED, **{"pass": _PASS})
    return bool(rows.scalar_one())


async def _seal_batch(db: Database) -> bool:
    """Whether that was the last batch."""
    async with db.begin() as tx:
        before = await lock_pass(tx, _PASS, "audit_logs")
        if before["completed"]:
            return True
        rows = await tx.execute(_UNSEALED, cursor=before["cursor"], limit=BATCH_ROWS)
        plain = [row for row in rows if _is_plain(row.ip_address) or _is_plain(row.user_agent)]
        records = [
            AuditRecord(row.audit_id, 0, "", row.actor_id, "", "", "", None, None, row.ip_address, row.user_agent,
                        "", "", "", "")
            for row in plain
        ]  # fmt: skip
        if records:
            done = await sealed(tx, records)
            await tx.execute(
                "select seal_audit_origins(cast(:ids as uuid[]), cast(:addresses as text[]), cast(:agents as text[]))",
                ids=[record.audit_id for record in done],
                addresses=[record.ip_address for record in done],
                agents=[record.user_agent for record in done],
            )
        progress = await save_pass(tx, _PASS, "audit_logs", before, rows, len(plain), BATCH_ROWS)
    return progress.completed


def _is_plain(text: str) -> bool:
    return bool(text) and not is_sealed(text)


async def _keys(tx: Tx, subjects: Collection[str]) -> dict[str, Sealer | None]:
    """The sealers of those who have a key; None for those whose key was destroyed."""
    rows = await tx.execute(_KEYS, subjects=sorted(subjects))
    return {row.subject: _sealer(tx.sealer.open_bytes(SUBJECT_KEY, row.key)) if row.key else None for row in rows}


def _sealer(key: bytes) -> Sealer:
    return Sealer({"subject": key}, b"")


def _sealed(record: AuditRecord, own: Sealer | None, fleet: Sealer) -> AuditRecord:
    if not record.ip_address and not record.user_agent:
        return record
    if own is None:
        return replace(record, ip_address="", user_agent="")
    return replace(
        record,
        ip_address=own.seal(IP, fleet.open(IP, record.ip_address)),
        user_agent=own.seal(USER_AGENT, fleet.open(USER_AGENT, record.user_agent)),
    )


def _opened(record: AuditRecord, own: Sealer | None) -> AuditRecord:
    if own is None:
        plain = {name: "" for name in ("ip_address", "user_agent") if is_sealed(getattr(record, name))}
        return replace(record, **plain) if plain else record
    return replace(
        record,
        ip_address=own.open(IP, record.ip_address),
        user_agent=own.open(USER_AGENT, record.user_agent),
    )
