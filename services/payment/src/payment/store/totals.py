"""Counts and sums that the books of the fleet are compared by."""

from common import checkpoints
from common.database import Tx
from payment.domain.states import PAID, Status

_BY_STATUS = """
select status, count(*) as number, sum(amount_minor) as minor, sum(credits_paid) as credits_paid,
       sum(credits_bonus) as credits_bonus, sum(net_minor) as net_minor, sum(gst_minor) as gst_minor
from payments group by status
"""
_OTHERS = """
select (select count(*) from invoices) as invoices, (select coalesce(sum(amount_minor), 0) from invoices) as invoiced,
       (select count(*) from transactions where status = 'CAPTURED') as captured,
       (select coalesce(sum(amount_minor), 0) from transactions where status = 'CAPTURED') as captured_minor,
       (select count(*) from transactions where status = 'DUPLICATE') as duplicates,
       (select count(*) from payments where review = 'QUARANTINED') as quarantined
"""
# In the one currency of the books; beside them, how many in others wait for their refund.
_RECEIPTS = """
select (select count(*) from receipts
        where currency <> 'INR' and amount_minor > applied_minor + refunded_minor) as unbooked,
       count(*) as number, coalesce(sum(amount_minor), 0) as received, coalesce(sum(applied_minor), 0) as applied,
       coalesce(sum(refunded_minor), 0) as refunded
from receipts where currency = 'INR'
"""
# What the gateway does not owe us any more: given back, taken by a dispute that is not won, or paid out to the bank.
_RETURNED = """
select (select coalesce(sum(amount_minor), 0) from refunds where status = 'SUCCESS' and receipt_id is null) as refunded,
       (select coalesce(sum(cgst_minor + sgst_minor + igst_minor), 0) from refunds
        where status = 'SUCCESS' and receipt_id is null) as refunded_gst,
       (select coalesce(sum(amount_minor + case announced when 'LOST' then fee_minor else 0 end), 0) from disputes
        where announced in ('DISPUTED', 'LOST')) as disputed,
       (select coalesce(sum(cgst_minor + sgst_minor + igst_minor), 0) from disputes
        where announced = 'LOST') as disputed_gst,
       (select coalesce(sum(booked_gross_minor), 0) from settlements) as settled
"""
# A payment is paid by its one capture, also when a receipt becomes its success. Amounts never change.
_PAID = """
count(*) as "payments.paid.count",
coalesce(sum(p.amount_minor), 0) as "payments.paid.minor",
coalesce(sum(p.credits_paid + p.credits_bonus), 0) as "payments.paid.credits",
coalesce(sum(p.credits_paid), 0) as "payments.paid.credits_paid",
coalesce(sum(p.credits_bonus), 0) as "payments.paid.credits_bonus",
coalesce(sum(p.net_minor), 0) as "payments.paid.net_minor",
coalesce(sum(p.gst_minor), 0) as "payments.paid.gst_minor"
"""
CAPTURED = f"""
select {_PAID} from transactions t
cross join lateral (select * from payments where id = t.payment_id offset 0) p
where t.id >= :after and t.id < :before and t.status = 'CAPTURED'
"""
_INVOICED = """
select count(*) as "invoices.count", coalesce(sum(amount_minor), 0) as "invoices.minor" from invoices
where id >= :after and id < :before
"""
_SUMS = ("count", "minor", "credits", "credits_paid", "credits_bonus", "net_minor", "gst_minor")


async def totals(tx: Tx) -> dict[str, int]:
    """By name; the names are in the README. "paid" sums every status in which the money is or was ours."""
    sums = {f"payments.paid.{name}": 0 for name in _SUMS}
    for row in await tx.execute(_BY_STATUS):
        by_name = {
            "count": row.number,
            "minor": int(row.minor),
            "credits": int(row.credits_paid + row.credits_bonus),
            "credits_paid": int(row.credits_paid),
            "credits_bonus": int(row.credits_bonus),
            "net_minor": int(row.net_minor),
            "gst_minor": int(row.gst_minor),
        }
        sums |= {f"payments.{row.status.lower()}.{name}": value for name, value in by_name.items()}
        if Status(row.status) in PAID:
            for name, value in by_name.items():
                sums[f"payments.paid.{name}"] += value
    others = (await tx.execute(_OTHERS)).one()
    return (
        sums
        | await _receipts(tx)
        | await _returned(tx)
        | {
            "invoices.count": others.invoices,
            "invoices.minor": int(others.invoiced),
            "transactions.captured.count": others.captured,
            "transactions.captured.minor": int(others.captured_minor),
            "transactions.duplicate.count": others.duplicates,
            "payments.quarantined.count": others.quarantined,
        }
    )


async def recent_totals(tx: Tx) -> dict[str, int]:
    """Those that books are compared by, read from the checkpoints on. What is rare is read whole: receipts, refunds,
    disputes, settlements.
    """
    captured = await checkpoints.sums(tx, "captures", CAPTURED)
    invoiced = await checkpoints.sums(tx, "invoices", _INVOICED)
    return captured | invoiced | await _receipts(tx) | await _returned(tx)


async def _receipts(tx: Tx) -> dict[str, int]:
    receipts = (await tx.execute(_RECEIPTS)).one()
    return {
        "receipts.unbooked.count": receipts.unbooked,
        "receipts.received.count": receipts.number,
        "receipts.received.minor": int(receipts.received),
        "receipts.applied.minor": int(receipts.applied),
        "receipts.refunded.minor": int(receipts.refunded),
        "receipts.unapplied.minor": int(receipts.received - receipts.applied - receipts.refunded),
    }


async def _returned(tx: Tx) -> dict[str, int]:
    row = (await tx.execute(_RETURNED)).one()
    return {
        "refunds.succeeded.minor": int(row.refunded),
        "refunds.succeeded.gst_minor": int(row.refunded_gst),
        "disputes.taken.minor": int(row.disputed),
        "disputes.lost.gst_minor": int(row.disputed_gst),
        "settlements.booked.minor": int(row.settled),
    }
