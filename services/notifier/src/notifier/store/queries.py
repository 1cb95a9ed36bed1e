"""Reads of notifier."""

from collections.abc import Collection
from uuid import UUID

from common.database import Tx
from notifier.domain.mails import MailHistory, Status
from notifier.domain.recipients import suppression_key

_SUPPRESSED = "select address from suppressions where address = any(cast(:addresses as text[]))"

_MAILS_OF_PAYMENT = """
select template, status, queued_at, finished_at, order_id, reason, attempts, provider_code
from emails where payment_id = :payment_id order by id
"""

_COUNTS = "select status, count(*) as number from emails group by status"


async def suppressed(tx: Tx, addresses: Collection[str]) -> set[str]:
    """The suppression keys of those *addresses* that must not be mailed."""
    rows = await tx.execute(_SUPPRESSED, addresses=sorted({suppression_key(address) for address in addresses}))
    return set(rows.scalars())


async def mails_of_payment(tx: Tx, payment_id: UUID) -> list[MailHistory]:
    """The mails about a payment, oldest first."""
    return [
        MailHistory(
            template=row.template,
            status=Status(row.status),
            queued_at=row.queued_at,
            finished_at=row.finished_at,
            order_id=row.order_id,
            reason=row.reason or "",
            attempts=row.attempts,
            smtp_code=row.provider_code,
        )
        for row in await tx.execute(_MAILS_OF_PAYMENT, payment_id=payment_id)
    ]


async def counts_by_status(tx: Tx) -> dict[Status, int]:
    return {Status(row.status): int(row.number) for row in await tx.execute(_COUNTS)}
