"""Reads of notifier."""

from collections.abc import Collection
from uuid import UUID

from common.database import Tx
from common.seals import EMAIL
from notifier.domain.mails import MailHistory, Status
from notifier.domain.recipients import suppression_key

# An operator may have entered an address in plain; it is sealed by the next pass.
_SUPPRESSED = """
select row.address from unnest(cast(:addresses as text[]), cast(:indexes as bytea[])) as row (address, address_index)
where exists (select from suppressions s where s.address_index = row.address_index)
   or exists (select from suppressions s where s.address = row.address)
"""

_MAILS_OF_PAYMENT = """
select template, status, queued_at, finished_at, order_id, reason, attempts, provider_code
from emails where payment_id = :payment_id order by id
"""

_COUNTS = "select status, count(*) as number from emails group by status"


async def suppressed(tx: Tx, addresses: Collection[str]) -> set[str]:
    """The suppression keys of those *addresses* that must not be mailed."""
    keys = sorted({suppression_key(address) for address in addresses})
    rows = await tx.execute(_SUPPRESSED, addresses=keys, indexes=[tx.sealer.blind_index(EMAIL, key) for key in keys])
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
