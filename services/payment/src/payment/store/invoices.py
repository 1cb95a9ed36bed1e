"""Invoices and the series that number them."""

from collections.abc import Collection, Sequence
from uuid import UUID

from common.database import Row, Tx
from payment.domain.invoices import Invoice

_SERIES_OPEN = """
insert into invoice_series (merchant_id, series)
select * from unnest(cast(:merchants as text[]), cast(:series as text[])) order by 1, 2
on conflict do nothing
"""
_SERIES_LOCK = """
select merchant_id, series, last_number from invoice_series
where (merchant_id, series) in (select * from unnest(cast(:merchants as text[]), cast(:series as text[])))
order by merchant_id, series for no key update
"""
_SERIES_ADVANCE = """
update invoice_series s set last_number = row.last_number
from unnest(cast(:merchants as text[]), cast(:series as text[]), cast(:numbers as bigint[]))
     as row (merchant_id, series, last_number)
where s.merchant_id = row.merchant_id and s.series = row.series
"""
_INVOICED = "select payment_id from invoices where payment_id = any(cast(:ids as uuid[]))"
_INVOICES = """
insert into invoices (id, payment_id, merchant_id, user_id, series, number, invoice_number, amount_minor, currency,
    net_minor, cgst_minor, sgst_minor, igst_minor, place_of_supply, issued_at)
select * from unnest(cast(:ids as uuid[]), cast(:payment_ids as uuid[]), cast(:merchants as text[]),
    cast(:users as text[]), cast(:series as text[]), cast(:numbers as bigint[]), cast(:texts as text[]),
    cast(:amounts as bigint[]), cast(:currencies as text[]), cast(:nets as bigint[]), cast(:cgsts as bigint[]),
    cast(:sgsts as bigint[]), cast(:igsts as bigint[]), cast(:supplies as text[]), cast(:ats as timestamptz[]))
"""
_OF_PAYMENT = "select id, invoice_number, issued_at from invoices where payment_id = :id"


async def lock_series(tx: Tx, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """The last number of each (merchant, series), locked until *tx* ends; opened when it is new."""
    ordered = sorted(names)
    scopes = {"merchants": [merchant for merchant, _ in ordered], "series": [series for _, series in ordered]}
    rows = (await tx.execute(_SERIES_LOCK, **scopes)).all()
    if len(rows) < len(ordered):
        await tx.execute(_SERIES_OPEN, **scopes)
        rows = (await tx.execute(_SERIES_LOCK, **scopes)).all()
    return {(row.merchant_id, row.series): row.last_number for row in rows}


async def advance_series(tx: Tx, last_numbers: dict[tuple[str, str], int]) -> None:
    await tx.write(
        "invoice_series",
        _SERIES_ADVANCE,
        merchants=[merchant for merchant, _ in last_numbers],
        series=[series for _, series in last_numbers],
        numbers=list(last_numbers.values()),
    )


async def invoiced(tx: Tx, payment_ids: Collection[UUID]) -> set[UUID]:
    """Those of the payments that have their invoice already."""
    return set((await tx.execute(_INVOICED, ids=sorted(payment_ids))).scalars())


async def add_invoices(tx: Tx, invoices: Sequence[Invoice]) -> None:
    await tx.write(
        "invoices",
        _INVOICES,
        ids=[invoice.id for invoice in invoices],
        payment_ids=[invoice.payment_id for invoice in invoices],
        merchants=[invoice.merchant_id for invoice in invoices],
        users=[invoice.user_id for invoice in invoices],
        series=[invoice.series for invoice in invoices],
        numbers=[invoice.number for invoice in invoices],
        texts=[invoice.text for invoice in invoices],
        amounts=[invoice.amount.minor for invoice in invoices],
        currencies=[invoice.amount.currency for invoice in invoices],
        nets=[invoice.tax.net.minor for invoice in invoices],
        cgsts=[invoice.tax.cgst.minor for invoice in invoices],
        sgsts=[invoice.tax.sgst.minor for invoice in invoices],
        igsts=[invoice.tax.igst.minor for invoice in invoices],
        supplies=[invoice.place_of_supply for invoice in invoices],
        ats=[invoice.issued_at for invoice in invoices],
    )


async def invoice_of(tx: Tx, payment_id: UUID) -> Row | None:
    """Its id, number and date; None when the payment has no invoice."""
    return (await tx.execute(_OF_PAYMENT, id=payment_id)).first()
