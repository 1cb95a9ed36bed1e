"""Writes and reads of what matching judged: payments, settlements, cursors."""

from collections.abc import Sequence
from datetime import datetime

from common.database import Tx
from reconciler.domain.differences import Kind, difference
from reconciler.domain.matching import Feed, JudgedPayment, JudgedSettlement, Window
from reconciler.domain.records import Settlement
from reconciler.domain.runs import Finding
from reconciler.store import rows

_WINDOW = "select changed_until, window_until, page from matching_cursors where feed = :feed"

_SAVE_WINDOW = """
insert into matching_cursors (feed, changed_until, window_until, page) values (:feed, :changed, :until, :page)
on conflict (feed) do update
set changed_until = excluded.changed_until, window_until = excluded.window_until, page = excluded.page
"""

_SAVE_PAYMENTS = """
insert into matched_payments (payment_id, merchant_id, gateway, account_id, currency, amount_minor, paid_on, settled_at,
                              recheck_at, judged_at)
select *, :now from unnest(
    cast(:payment_ids as text[]), cast(:merchant_ids as text[]), cast(:gateways as text[]), cast(:accounts as text[]),
    cast(:currencies as text[]), cast(:amounts as bigint[]), cast(:paid_on as date[]), cast(:settled as timestamptz[]),
    cast(:rechecks as timestamptz[]))
on conflict (payment_id) do update
set account_id = excluded.account_id, currency = excluded.currency, amount_minor = excluded.amount_minor,
    paid_on = excluded.paid_on, settled_at = excluded.settled_at, recheck_at = excluded.recheck_at,
    judged_at = excluded.judged_at
"""

_SAVE_SETTLEMENTS = """
insert into matched_settlements (settlement_id, merchant_id, gateway, account_id, gateway_settlement_id, utr, status,
                                 currency, gross_minor, fee_minor, fee_tax_minor, adjustment_minor, net_minor,
                                 settled_at, seq, bank_line_id, recheck_at, judged_at)
select *, :now from unnest(
    cast(:settlement_ids as text[]), cast(:merchant_ids as text[]), cast(:gateways as text[]),
    cast(:accounts as text[]), cast(:own_ids as text[]), cast(:utrs as text[]), cast(:statuses as text[]),
    cast(:currencies as text[]), cast(:gross as bigint[]), cast(:fees as bigint[]), cast(:taxes as bigint[]),
    cast(:adjustments as bigint[]), cast(:nets as bigint[]), cast(:settled as timestamptz[]), cast(:seqs as bigint[]),
    cast(:lines as uuid[]), cast(:rechecks as timestamptz[]))
on conflict (settlement_id) do update
set utr = excluded.utr, status = excluded.status, gross_minor = excluded.gross_minor,
    fee_minor = excluded.fee_minor, fee_tax_minor = excluded.fee_tax_minor,
    adjustment_minor = excluded.adjustment_minor, net_minor = excluded.net_minor, settled_at = excluded.settled_at,
    seq = excluded.seq, bank_line_id = excluded.bank_line_id, recheck_at = excluded.recheck_at,
    judged_at = excluded.judged_at
where excluded.seq >= matched_settlements.seq
"""

_DUE_PAYMENTS = """
select payment_id from matched_payments where recheck_at <= :before and judged_at < :before
order by recheck_at, payment_id limit :limit
"""

_DUE_SETTLEMENTS = f"""
select {rows.SETTLEMENT_COLUMNS} from matched_settlements where recheck_at <= :before and judged_at < :before
order by recheck_at, settlement_id limit :limit
"""

_SETTLEMENTS = f"""
select {rows.SETTLEMENT_COLUMNS} from matched_settlements where settlement_id = any(cast(:ids as text[]))
"""

_UNKNOWN = """
update matched_payments set recheck_at = :now, judged_at = :now where payment_id = any(cast(:ids as text[]))
returning payment_id, merchant_id, amount_minor, currency
"""

# Read in the run that judged them already.
_JUDGED = """
select payment_id from matched_payments where payment_id = any(cast(:ids as text[])) and judged_at >= :since
"""


async def window(tx: Tx, feed: Feed) -> Window | None:
    """Where the feed stands; None before the first run."""
    row = (await tx.execute(_WINDOW, feed=feed)).first()
    return Window(row.changed_until, row.window_until, row.page) if row is not None else None


async def save_window(tx: Tx, feed: Feed, window: Window) -> None:
    """Continue there next time."""
    await tx.execute(_SAVE_WINDOW, feed=feed, changed=window.changed_until, until=window.window_until, page=window.page)


async def save_payments(tx: Tx, judged: Sequence[JudgedPayment], now: datetime) -> None:
    """The verdicts' figures, in place of those before; in order of their ids."""
    ordered = sorted(judged, key=lambda each: each.record.payment_id)
    records = [each.record for each in ordered]
    await tx.execute(
        _SAVE_PAYMENTS,
        now=now,
        payment_ids=[record.payment_id for record in records],
        merchant_ids=[record.merchant_id for record in records],
        gateways=[record.gateway for record in records],
        accounts=[record.account_id for record in records],
        currencies=[record.currency for record in records],
        amounts=[record.amount_minor for record in records],
        paid_on=[each.paid_on for each in ordered],
        settled=[each.settled_at for each in ordered],
        rechecks=[each.recheck_at for each in ordered],
    )


async def save_settlements(tx: Tx, judged: Sequence[JudgedSettlement], now: datetime) -> None:
    """As the gateway states them now; an older state never replaces a newer one."""
    ordered = sorted(judged, key=lambda each: each.settlement.settlement_id)
    stated = [each.settlement for each in ordered]
    await tx.execute(
        _SAVE_SETTLEMENTS,
        now=now,
        settlement_ids=[each.settlement_id for each in stated],
        merchant_ids=[each.merchant_id for each in stated],
        gateways=[each.gateway for each in stated],
        accounts=[each.account_id for each in stated],
        own_ids=[each.gateway_settlement_id for each in stated],
        utrs=[each.utr for each in stated],
        statuses=[each.status for each in stated],
        currencies=[each.currency for each in stated],
        gross=[each.gross_minor for each in stated],
        fees=[each.fee_minor for each in stated],
        taxes=[each.fee_tax_minor for each in stated],
        adjustments=[each.adjustment_minor for each in stated],
        nets=[each.net_minor for each in stated],
        settled=[each.settled_at for each in stated],
        seqs=[each.seq for each in stated],
        lines=[each.bank_line_id for each in ordered],
        rechecks=[each.recheck_at for each in ordered],
    )


async def due_payments(tx: Tx, before: datetime, limit: int) -> list[str]:
    """Payments that time may have changed something about, and that have not been judged since *before*."""
    result = await tx.execute(_DUE_PAYMENTS, before=before, limit=limit)
    return [row.payment_id for row in result]


async def due_settlements(tx: Tx, before: datetime, limit: int) -> list[Settlement]:
    """The same of settlements."""
    return [rows.settlement(row) for row in await tx.execute(_DUE_SETTLEMENTS, before=before, limit=limit)]


async def settlements(tx: Tx, settlement_ids: Sequence[str]) -> dict[str, Settlement]:
    """Those of these that were seen, by id."""
    ordered = sorted(set(settlement_ids))
    seen = [rows.settlement(row) for row in await tx.execute(_SETTLEMENTS, ids=ordered)]
    return {each.settlement_id: each for each in seen}


async def unknown_payments(tx: Tx, payment_ids: Sequence[str], now: datetime) -> list[Finding]:
    """What was kept of payments that are gone, as findings; they are looked for again in the next run."""
    result = await tx.execute(_UNKNOWN, ids=list(payment_ids), now=now)
    return [
        difference(
            Kind.PAYMENT_UNKNOWN,
            row.payment_id,
            row.amount_minor,
            row.currency,
            "it was judged before, and payment does not know it any more",
            payment_id=row.payment_id,
            merchant_id=row.merchant_id,
        )
        for row in result
    ]


async def judged_since(tx: Tx, payment_ids: Sequence[str], since: datetime) -> set[str]:
    """Which of these payments have been judged since."""
    result = await tx.execute(_JUDGED, ids=list(payment_ids), since=since)
    return {row.payment_id for row in result}
