"""Writes of notifier: mails, their outcomes, and the digests of alerts."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from common.database import Tx
from common.seals import EMAIL
from notifier.domain.alert_digests import Digest
from notifier.domain.mails import MailOutcome, MailRecord
from notifier.domain.recipients import suppression_key

_INSERT_MAILS = """
insert into emails (id, key, template, merchant_id, payment_id, order_id, recipient, recipient_index, status, reason,
                    message_id, queued_at, finished_at)
select id, key, template, merchant_id, payment_id, order_id, recipient, recipient_index, status, reason, message_id,
       :now, case when status <> 'QUEUED' then cast(:now as timestamptz) end
from unnest(cast(:ids as uuid[]), cast(:keys as text[]), cast(:templates as text[]),
            cast(:merchant_ids as text[]), cast(:payment_ids as uuid[]), cast(:order_ids as text[]),
            cast(:recipients as text[]), cast(:indexes as bytea[]), cast(:statuses as text[]),
            cast(:reasons as text[]), cast(:message_ids as text[]))
     as row (id, key, template, merchant_id, payment_id, order_id, recipient, recipient_index, status, reason,
             message_id)
on conflict (key) do nothing
returning id
"""

_RECORD_OUTCOMES = """
update emails set status = row.status, reason = row.reason, attempts = row.attempts,
                  provider_code = row.smtp_code, finished_at = :now
from unnest(cast(:ids as uuid[]), cast(:statuses as text[]), cast(:reasons as text[]),
            cast(:attempts as integer[]), cast(:codes as integer[]))
     as row (id, status, reason, attempts, smtp_code)
where emails.id = row.id and emails.status = 'QUEUED'
"""

_INSERT_DIGESTS = "insert into alert_digests (cause) select unnest(cast(:causes as text[])) on conflict do nothing"

_DIGEST_COLUMNS = "cause, closes_at, pending, samples, mails, total"

_LOCK_DIGESTS = f"""
select {_DIGEST_COLUMNS} from alert_digests where cause = any(cast(:causes as text[])) order by cause for no key update
"""

_LOCK_ENDED_WINDOWS = f"""
select {_DIGEST_COLUMNS} from alert_digests where closes_at <= :now
order by cause limit :limit for no key update skip locked
"""

_SAVE_DIGESTS = """
update alert_digests set closes_at = row.closes_at, pending = row.pending, samples = cast(row.samples as jsonb),
                         mails = row.mails, total = row.total
from unnest(cast(:causes as text[]), cast(:closing as timestamptz[]), cast(:pending as integer[]),
            cast(:samples as text[]), cast(:mails as integer[]), cast(:totals as bigint[]))
     as row (cause, closes_at, pending, samples, mails, total)
where alert_digests.cause = row.cause
"""


async def insert_mails(tx: Tx, records: Sequence[MailRecord], now: datetime) -> set[UUID]:
    """Store the mails whose key is new; returns their ids. Keys are taken in sorted order."""
    ordered = sorted(records, key=lambda record: record.mail.key)
    rows = await tx.execute(
        _INSERT_MAILS,
        ids=[record.mail.email_id for record in ordered],
        keys=[record.mail.key for record in ordered],
        templates=[record.mail.template for record in ordered],
        merchant_ids=[record.mail.merchant_id for record in ordered],
        payment_ids=[record.mail.payment_id for record in ordered],
        order_ids=[record.mail.order_id for record in ordered],
        recipients=[tx.sealer.seal(EMAIL, record.mail.recipient) for record in ordered],
        indexes=[tx.sealer.blind_index(EMAIL, suppression_key(record.mail.recipient)) for record in ordered],
        statuses=[record.status for record in ordered],
        reasons=[record.reason for record in ordered],
        message_ids=[record.message_id for record in ordered],
        now=now,
    )
    return set(rows.scalars())


async def record_outcomes(tx: Tx, outcomes: Sequence[MailOutcome], now: datetime) -> None:
    """Record how mails ended; one that has ended already is left as it is."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.email_id)
    await tx.write(
        "emails",
        _RECORD_OUTCOMES,
        ids=[outcome.email_id for outcome in ordered],
        statuses=[outcome.status for outcome in ordered],
        reasons=[outcome.reason for outcome in ordered],
        attempts=[outcome.attempts for outcome in ordered],
        codes=[outcome.smtp_code for outcome in ordered],
        now=now,
    )


async def lock_digests(tx: Tx, causes: Collection[str]) -> dict[str, Digest]:
    """The digest of each of *causes*, made if absent; nobody else may change them until *tx* ends."""
    ordered = sorted(causes)
    await tx.execute(_INSERT_DIGESTS, causes=ordered)
    return {row.cause: _digest(row) for row in await tx.execute(_LOCK_DIGESTS, causes=ordered)}


async def lock_ended_windows(tx: Tx, now: datetime, limit: int) -> list[Digest]:
    """Digests whose window is over and that nobody else works on."""
    return [_digest(row) for row in await tx.execute(_LOCK_ENDED_WINDOWS, now=now, limit=limit)]


async def save_digests(tx: Tx, digests: Mapping[str, Digest]) -> None:
    """Write *digests*, which are locked."""
    ordered = [digests[cause] for cause in sorted(digests)]
    await tx.write(
        "alert_digests",
        _SAVE_DIGESTS,
        causes=[digest.cause for digest in ordered],
        closing=[digest.closes_at for digest in ordered],
        pending=[digest.pending for digest in ordered],
        samples=[json.dumps(digest.samples) for digest in ordered],
        mails=[digest.mails for digest in ordered],
        totals=[digest.total for digest in ordered],
    )


def _digest(row: Any) -> Digest:
    return Digest(
        cause=row.cause,
        closes_at=row.closes_at,
        pending=row.pending,
        samples=tuple(row.samples),
        mails=row.mails,
        total=row.total,
    )
