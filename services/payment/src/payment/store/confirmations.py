"""Captures: what is due to be compared with the gateway's list, and what that says of it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from common.database import Tx
from payment.domain.decisions import Correction
from payment.domain.payments import Payment
from payment.store.commands import gateway_response

# Captures older than *oldest* are left as they are: the gateway does not show them any more.
_DUE = """
update transactions
set confirmation_due_at = case when created_at < :oldest then null else cast(:again as timestamptz) end
where id in (select id from transactions where confirmation_due_at <= :now
             order by confirmation_due_at limit :rows for no key update skip locked)
returning payment_id
"""
# One index probe for each, whenever the plan was made. One that replaces another id may come from a list that is older
# than that id: it is looked at once more.
_CORRECT = """
update transactions t
set provider_transaction_id = row.provider_id, bank_reference = row.bank,
    gateway_response = cast(row.response as jsonb), amount_minor = row.amount,
    currency = row.currency, created_at = row.at, confirmed_at = :now,
    confirmation_due_at = case when row.provider_id = row.claimed_id then t.confirmation_due_at
                               else cast(:again as timestamptz) end
from (select row.*, claimed.id
      from unnest(cast(:payment_ids as uuid[]), cast(:claimed_ids as text[]), cast(:provider_ids as text[]),
                  cast(:banks as text[]), cast(:responses as text[]), cast(:amounts as bigint[]),
                  cast(:currencies as text[]), cast(:ats as timestamptz[]))
           as row (payment_id, claimed_id, provider_id, bank, response, amount, currency, at)
      cross join lateral (select c.id from transactions c
                          where c.payment_id = row.payment_id and c.provider_transaction_id = row.claimed_id
                            and c.status = 'CAPTURED' and c.confirmed_at is null limit 1) as claimed) as row
where t.id = row.id
"""
_LOOKED_AT = """
update transactions set confirmation_due_at = null
where payment_id = any(cast(:ids as uuid[])) and confirmed_at is not null and confirmation_due_at = :leased
"""
_FORGET_ATTEMPTS = """
delete from payment_attempts a
using unnest(cast(:payment_ids as uuid[]), cast(:claimed_ids as text[])) as row (payment_id, claimed_id)
where a.payment_id = row.payment_id and a.gateway_payment_id = row.claimed_id and a.confirmed_at is null
"""


async def lease_due(tx: Tx, now: datetime, due_again_at: datetime, oldest: datetime, limit: int) -> list[UUID]:
    """The payments of captures that are due to be confirmed; they are due again at *due_again_at* if they are not."""
    rows = await tx.execute(_DUE, now=now, again=due_again_at, oldest=oldest, rows=limit)
    return list(rows.scalars())


async def end_looks(tx: Tx, payment_ids: Collection[UUID], leased_until: datetime) -> None:
    """The gateway's list was read: what it confirms is not due any more. What it put in another's place has a later
    time than the lease, and stays due.
    """
    if payment_ids:
        await tx.execute(_LOOKED_AT, ids=sorted(payment_ids), leased=leased_until)


async def correct(
    tx: Tx, corrections: Sequence[tuple[Payment, Correction]], now: datetime, confirmation_due_at: datetime
) -> None:
    """Put the listed attempts in the place of the claimed ones; attempts that do not exist are forgotten."""
    if not corrections:
        return
    ordered = sorted(corrections, key=lambda pair: pair[0].id)
    attempts = [correction.attempt for _, correction in ordered]
    amounts = [correction.attempt.amount or payment.amount for payment, correction in ordered]
    await tx.execute(
        _CORRECT,
        now=now,
        again=confirmation_due_at,
        payment_ids=[payment.id for payment, _ in ordered],
        claimed_ids=[correction.claimed_id for _, correction in ordered],
        provider_ids=[attempt.gateway_payment_id for attempt in attempts],
        banks=[attempt.bank_reference for attempt in attempts],
        responses=[gateway_response(attempt) for attempt in attempts],
        amounts=[amount.minor for amount in amounts],
        currencies=[amount.currency for amount in amounts],
        ats=[correction.attempt.at or payment.paid_at or now for payment, correction in ordered],
    )
    replaced = [(payment, correction) for payment, correction in ordered if correction.replaces]
    if replaced:
        await tx.execute(
            _FORGET_ATTEMPTS,
            payment_ids=[payment.id for payment, _ in replaced],
            claimed_ids=[correction.claimed_id for _, correction in replaced],
        )
