"""The figures of daily closes, and the closes themselves."""

from datetime import date, datetime, timedelta

import msgspec

from common.database import Tx
from reconciler.domain.closes import Close, CloseFigures
from reconciler.domain.records import end_of_day_in_india

# Of each payment one of three, whatever is said about it: so that the parts are the whole.
_FIGURES = """
with judged as (
    select currency, amount_minor,
           case
               when exists (select from reconciliation_cases opened
                            where opened.payment_id = payment.payment_id and opened.status = 'OPEN') then 'open'
               when settled_at is null and recheck_at <= :now and not exists (
                   select from reconciliation_cases decided
                   where decided.payment_id = payment.payment_id and decided.decision_stands) then 'open'
               when settled_at is null or exists (
                   select from reconciliation_cases decided
                   where decided.payment_id = payment.payment_id and decided.decision_stands) then 'explained'
               else 'matched'
           end as state
    from matched_payments payment where paid_on = :day
), payments as (
    select currency, count(*) as payments, sum(amount_minor) as total,
           coalesce(sum(amount_minor) filter (where state = 'matched'), 0) as matched,
           coalesce(sum(amount_minor) filter (where state = 'explained'), 0) as explained,
           coalesce(sum(amount_minor) filter (where state = 'open'), 0) as open
    from judged group by currency
), others as (
    select currency, count(*) as cases, sum(amount_minor) as minor
    from reconciliation_cases
    where status = 'OPEN' and payment_id = '' and settlement_id <> '' and opened_at >= :begin
    group by currency
), settled as (
    select currency, count(*) as settlements, sum(net_minor) as net,
           coalesce(sum(net_minor) filter (where bank_line_id is not null), 0) as banked
    from matched_settlements where status = 'SETTLED' and settled_at >= :begin and settled_at < :until
    group by currency
)
select currency, coalesce(payments, 0) as payments, coalesce(total, 0) as total, coalesce(matched, 0) as matched,
       coalesce(explained, 0) as explained, coalesce(open, 0) as open, coalesce(cases, 0) as cases,
       coalesce(minor, 0) as minor, coalesce(settlements, 0) as settlements, coalesce(net, 0) as net,
       coalesce(banked, 0) as banked
from payments full join others using (currency) full join settled using (currency) order by currency
"""

_ADD = """
insert into reconciliation_closes (close_id, day, closed_at, closed_by, statement)
values (:close_id, :day, :now, :actor, cast(cast(:statement as text) as jsonb))
"""

_CLOSES = """
select close_id, day, closed_at, closed_by, statement from reconciliation_closes
where cast(:day as date) is null or day = :day order by day desc, close_id desc limit :limit
"""


async def figures(tx: Tx, day: date, now: datetime) -> list[CloseFigures]:
    """The day's figures as they are at *now*, by currency."""
    until = end_of_day_in_india(day)
    result = await tx.execute(_FIGURES, day=day, now=now, begin=until - timedelta(days=1), until=until)
    return [
        CloseFigures(
            currency=row.currency,
            payments=int(row.payments),
            total_minor=int(row.total),
            matched_minor=int(row.matched),
            explained_minor=int(row.explained),
            open_minor=int(row.open),
            other_cases=int(row.cases),
            other_minor=int(row.minor),
            settlements=int(row.settlements),
            settled_net_minor=int(row.net),
            banked_minor=int(row.banked),
        )
        for row in result
    ]


async def add_close(tx: Tx, close: Close) -> None:
    """Keep the close; a day that is closed again has both."""
    await tx.execute(
        _ADD,
        close_id=close.close_id,
        day=close.day,
        now=close.closed_at,
        actor=close.closed_by,
        statement=msgspec.json.encode(close.currencies).decode(),
    )


async def closes(tx: Tx, day: date | None, limit: int) -> list[Close]:
    """The closes of *day*, or of all days, the last one first."""
    return [
        Close(
            row.close_id,
            row.day,
            row.closed_at,
            row.closed_by,
            msgspec.convert(row.statement, tuple[CloseFigures, ...]),
        )
        for row in await tx.execute(_CLOSES, day=day, limit=limit)
    ]
