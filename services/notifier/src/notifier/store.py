"""Tables and queries of notifier; the only SQL."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from common.database import Tx
from notifier.domain import Mail, Status, folded
from notifier.domain.digest import Digest


@dataclass(frozen=True, slots=True)
class Entry:
    """A mail about to be kept: queued, or why it never will be."""

    mail: Mail
    message_id: str
    status: Status = Status.QUEUED
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a mail ended."""

    email_id: UUID
    status: Status
    reason: str | None
    attempts: int
    provider_code: int


async def suppressed(tx: Tx, addresses: Collection[str]) -> set[str]:
    """Those of *addresses* that must not be mailed, folded."""
    rows = await tx.execute(
        "select address from suppressions where address = any(cast(:addresses as text[]))",
        addresses=sorted({folded(address) for address in addresses}),
    )
    return set(rows.scalars())


async def insert(tx: Tx, entries: Sequence[Entry], now: datetime) -> set[UUID]:
    """Keep mails whose key is new; returns their ids. Keys are taken in sorted order."""
    ordered = sorted(entries, key=lambda entry: entry.mail.key)
    rows = await tx.execute(
        """
        insert into emails (id, key, template, merchant_id, payment_id, order_id, recipient, status, reason, message_id,
                            queued_at, finished_at)
        select id, key, template, merchant_id, payment_id, order_id, recipient, status, reason, message_id, :now,
               case when status <> 'QUEUED' then cast(:now as timestamptz) end
        from unnest(cast(:ids as uuid[]), cast(:keys as text[]), cast(:templates as text[]),
                    cast(:merchant_ids as text[]), cast(:payment_ids as uuid[]), cast(:order_ids as text[]),
                    cast(:recipients as text[]), cast(:statuses as text[]), cast(:reasons as text[]),
                    cast(:message_ids as text[]))
             as row (id, key, template, merchant_id, payment_id, order_id, recipient, status, reason, message_id)
        on conflict (key) do nothing
        returning id
        """,
        ids=[entry.mail.email_id for entry in ordered],
        keys=[entry.mail.key for entry in ordered],
        templates=[entry.mail.template for entry in ordered],
        merchant_ids=[entry.mail.merchant_id for entry in ordered],
        payment_ids=[entry.mail.payment_id for entry in ordered],
        order_ids=[entry.mail.order_id for entry in ordered],
        recipients=[entry.mail.recipient for entry in ordered],
        statuses=[entry.status for entry in ordered],
        reasons=[entry.reason for entry in ordered],
        message_ids=[entry.message_id for entry in ordered],
        now=now,
    )
    return set(rows.scalars())


async def finish(tx: Tx, outcomes: Sequence[Outcome], now: datetime) -> None:
    """Record how mails ended; one that has ended already is left as it is."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.email_id)
    await tx.write(
        """
        update emails set status = row.status, reason = row.reason, attempts = row.attempts,
                          provider_code = row.provider_code, finished_at = :now
        from unnest(cast(:ids as uuid[]), cast(:statuses as text[]), cast(:reasons as text[]),
                    cast(:attempts as integer[]), cast(:codes as integer[]))
             as row (id, status, reason, attempts, provider_code)
        where emails.id = row.id and emails.status = 'QUEUED'
        """,
        ids=[outcome.email_id for outcome in ordered],
        statuses=[outcome.status for outcome in ordered],
        reasons=[outcome.reason for outcome in ordered],
        attempts=[outcome.attempts for outcome in ordered],
        codes=[outcome.provider_code for outcome in ordered],
        now=now,
    )


async def lock_digests(tx: Tx, causes: Collection[str]) -> dict[str, Digest]:
    """Where each of *causes* stands, made if absent; nobody else may change them until *tx* ends."""
    ordered = sorted(causes)
    await tx.execute(
        "insert into alert_digests (cause) select unnest(cast(:causes as text[])) on conflict do nothing",
        causes=ordered,
    )
    rows = await tx.execute(
        """
        select * from alert_digests where cause = any(cast(:causes as text[])) order by cause for no key update
        """,
        causes=ordered,
    )
    return {row.cause: _digest(row) for row in rows}


async def lock_closing(tx: Tx, now: datetime, limit: int) -> list[Digest]:
    """Digests whose window is over and that nobody else works on."""
    rows = await tx.execute(
        """
        select * from alert_digests where closes_at <= :now order by cause limit :limit for no key update skip locked
        """,
        now=now,
        limit=limit,
    )
    return [_digest(row) for row in rows]


async def save_digests(tx: Tx, digests: Mapping[str, Digest]) -> None:
    """Write *digests*, which are locked."""
    ordered = [digests[cause] for cause in sorted(digests)]
    await tx.write(
        """
        update alert_digests set closes_at = row.closes_at, pending = row.pending, samples = cast(row.samples as jsonb),
                                 mails = row.mails, total = row.total
        from unnest(cast(:causes as text[]), cast(:closing as timestamptz[]), cast(:pending as integer[]),
                    cast(:samples as text[]), cast(:mails as integer[]), cast(:totals as bigint[]))
             as row (cause, closes_at, pending, samples, mails, total)
        where alert_digests.cause = row.cause
        """,
        causes=[digest.cause for digest in ordered],
        closing=[digest.closes_at for digest in ordered],
        pending=[digest.pending for digest in ordered],
        samples=[json.dumps(digest.samples) for digest in ordered],
        mails=[digest.mails for digest in ordered],
        totals=[digest.total for digest in ordered],
    )


def _digest(row: Any) -> Digest:
    return Digest(row.cause, row.closes_at, row.pending, tuple(row.samples), row.mails, row.total)


@dataclass(frozen=True, slots=True)
class Line:
    """A mail, as a story tells of it: never to whom."""

    template: str
    status: Status
    queued_at: datetime
    finished_at: datetime | None
    order_id: str
    reason: str
    attempts: int
    provider_code: int | None


async def lines(tx: Tx, payment_id: UUID) -> list[Line]:
    """The mails about a payment, oldest first."""
    rows = await tx.execute("select * from emails where payment_id = :payment_id order by id", payment_id=payment_id)
    return [
        Line(
            row.template,
            Status(row.status),
            row.queued_at,
            row.finished_at,
            row.order_id,
            row.reason or "",
            row.attempts,
            row.provider_code,
        )
        for row in rows
    ]


async def totals(tx: Tx) -> dict[str, int]:
    """How many mails were sent, and what became of the others."""
    rows = await tx.execute("select status, count(*) as number from emails group by status")
    count = {Status(row.status): int(row.number) for row in rows}
    return {
        "mails.sent": count.get(Status.SENT, 0),
        "mails.failed": count.get(Status.FAILED, 0),
        "mails.suppressed": count.get(Status.SUPPRESSED, 0),
        "mails.pending": count.get(Status.QUEUED, 0),
    }
