"""Settlements and their rows: locked, saved, read. A row is kept as it was first shown."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from common import ids
from common.database import Row, Tx
from common.money import Money
from gateways.settlements import RowKind, SettlementRow, SettlementStatus
from payment.domain.settlements import Figures, Settlement, StoredRow

_LOCK = """
select * from settlements
where gateway_account_id = :account and gateway_settlement_id = any(cast(:gateway_ids as text[]))
order by id for no key update
"""
_LOCK_ONE = "select * from settlements where id = :id for no key update"
_BY_GATEWAY_IDS = """
select s.* from unnest(cast(:accounts as text[]), cast(:gateway_ids as text[])) as named (account, own_id)
join settlements s on s.gateway_account_id = account and s.gateway_settlement_id = own_id
"""
_BY_IDS = "select * from settlements where id = any(cast(:ids as uuid[])) order by id"
_COLUMNS = (
    ("id", "uuid"),
    ("gateway", "text"),
    ("gateway_account_id", "text"),
    ("merchant_id", "text"),
    ("gateway_settlement_id", "text"),
    ("utr", "text"),
    ("status", "text"),
    ("currency", "text"),
    ("gross_minor", "bigint"),
    ("fee_minor", "bigint"),
    ("fee_tax_minor", "bigint"),
    ("adjustment_minor", "bigint"),
    ("net_minor", "bigint"),
    ("booked_gross_minor", "bigint"),
    ("booked_fee_minor", "bigint"),
    ("booked_fee_tax_minor", "bigint"),
    ("booked_adjustment_minor", "bigint"),
    ("booked_net_minor", "bigint"),
    ("settled_at", "timestamptz"),
    ("seq", "integer"),
    ("rows_due", "boolean"),
    ("rows_cursor", "text"),
    ("payments_due", "boolean"),
    ("unreadable", "integer"),
    ("imported_at", "timestamptz"),
    ("updated_at", "timestamptz"),
)
_NAMES = ", ".join(name for name, _ in _COLUMNS)
_SAVE = f"""
insert into settlements ({_NAMES})
select {_NAMES} from unnest({", ".join(f"cast(:{name} as {type_}[])" for name, type_ in _COLUMNS)}) as row ({_NAMES})
order by id
on conflict (id) do update set {", ".join(f"{name} = excluded.{name}" for name, _ in _COLUMNS if name != "id")}
"""
# The payment that has the row's order in this account; kept without one where none has.
_ADD_ROWS = """
insert into settlement_rows (id, settlement_id, row_id, kind, payment_id, order_id, gateway_payment_id, reference,
    amount_minor, fee_minor, fee_tax_minor, net_minor, currency, event_at, utr, imported_at)
select row.id, :settlement_id, row_id, kind, (select p.id from payments p
           where p.gateway_account_id = :account and p.order_id = row.order_id limit 1),
       row.order_id, gateway_payment_id, reference, amount, fee, fee_tax, net, currency, at, utr, :now
from unnest(cast(:ids as uuid[]), cast(:row_ids as text[]), cast(:kinds as text[]), cast(:orders as text[]),
            cast(:gateway_payment_ids as text[]), cast(:references as text[]), cast(:amounts as bigint[]),
            cast(:fees as bigint[]), cast(:fee_taxes as bigint[]), cast(:nets as bigint[]),
            cast(:currencies as text[]), cast(:ats as timestamptz[]), cast(:utrs as text[]))
     as row (id, row_id, kind, order_id, gateway_payment_id, reference, amount, fee, fee_tax, net, currency, at, utr)
order by row_id
on conflict (settlement_id, row_id) do nothing
returning row_id
"""
_ROWS_BY_ID = """
select * from settlement_rows where settlement_id = :settlement_id and row_id = any(cast(:row_ids as text[]))
"""
_ADD_CONFLICTS = """
insert into settlement_conflicts (settlement_id, row_id, shown, seen_at)
select :settlement_id, row_id, shown, :now
from unnest(cast(:row_ids as text[]), cast(:shown as text[])) as row (row_id, shown)
order by row_id
on conflict (settlement_id, row_id) do nothing
returning row_id
"""
_ROWS_DUE = """
select * from settlements where gateway_account_id = :account and rows_due order by id limit :rows
"""
_TO_APPLY = """
select r.* from settlement_rows r
where r.settlement_id = :settlement_id and r.applied_status = any(cast(:others as text[]))
  and r.kind = 'PAYMENT' and r.payment_id is not null
order by r.payment_id, r.id limit :rows
"""
_APPLIED = "update settlement_rows set applied_status = :status where id = any(cast(:ids as uuid[]))"
_PAYMENT_STATUS = """
update payments p set settlement_status = :status
where p.id = any(cast(:ids as uuid[])) and p.settlement_status <> :status
"""
_PAYMENTS_DUE = """
select * from settlements where gateway_account_id = :account and payments_due order by id limit :rows
"""
_PAYMENTS_TOLD = "update settlements set payments_due = false where id = :id"

_encode = msgspec.json.Encoder().encode


async def lock_settlements(tx: Tx, account_id: str, gateway_ids: Collection[str]) -> dict[str, Settlement]:
    """By the gateway's ids; nobody else may change them until *tx* ends."""
    rows = await tx.execute(_LOCK, account=account_id, gateway_ids=sorted(gateway_ids))
    return {row.gateway_settlement_id: read(row) for row in rows}


async def by_ids(tx: Tx, settlement_ids: Collection[UUID]) -> list[Settlement]:
    """As they are now, without locks."""
    return [read(row) for row in await tx.execute(_BY_IDS, ids=sorted(settlement_ids))]


async def by_gateway_ids(tx: Tx, named: Sequence[tuple[str, str]]) -> list[Settlement]:
    """Those that are known, by account and the gateway's id, without locks."""
    if not named:
        return []
    rows = await tx.execute(
        _BY_GATEWAY_IDS, accounts=[account for account, _ in named], gateway_ids=[own_id for _, own_id in named]
    )
    return [read(row) for row in rows]


async def lock_settlement(tx: Tx, settlement_id: UUID) -> Settlement:
    [row] = (await tx.execute(_LOCK_ONE, id=settlement_id)).all()
    return read(row)


async def save_settlements(tx: Tx, settlements: Sequence[Settlement]) -> None:
    if settlements:
        lines = [_line(settlement) for settlement in settlements]
        await tx.execute(_SAVE, **{name: [line[name] for line in lines] for name, _ in _COLUMNS})


async def add_rows(tx: Tx, settlement: Settlement, rows: Mapping[str, SettlementRow], now: datetime) -> set[str]:
    """Keep what is new, by row id; the row ids that were."""
    ordered = [rows[row_id] for row_id in sorted(rows)]
    added = await tx.execute(
        _ADD_ROWS,
        settlement_id=settlement.id,
        account=settlement.gateway_account_id,
        now=now,
        ids=[ids.new() for _ in ordered],
        row_ids=[row.row_id for row in ordered],
        kinds=[row.kind.value for row in ordered],
        orders=[row.order_id for row in ordered],
        gateway_payment_ids=[row.gateway_payment_id for row in ordered],
        references=[row.reference for row in ordered],
        amounts=[row.amount.minor for row in ordered],
        fees=[row.fee.minor for row in ordered],
        fee_taxes=[row.fee_tax.minor for row in ordered],
        nets=[row.net.minor for row in ordered],
        currencies=[row.amount.currency for row in ordered],
        ats=[row.at for row in ordered],
        utrs=[row.utr for row in ordered],
    )
    return set(added.scalars())


async def rows_by_id(tx: Tx, settlement: Settlement, row_ids: Collection[str]) -> dict[str, StoredRow]:
    """The rows of one settlement as they were kept."""
    if not row_ids:
        return {}
    rows = await tx.execute(_ROWS_BY_ID, settlement_id=settlement.id, row_ids=sorted(row_ids))
    return {row.row_id: read_row(row, settlement.gateway_settlement_id) for row in rows}


async def add_conflicts(tx: Tx, settlement: Settlement, shown: Sequence[SettlementRow], now: datetime) -> set[str]:
    """Note rows that contradict what is kept; the row ids that were not noted before."""
    if not shown:
        return set()
    added = await tx.execute(
        _ADD_CONFLICTS,
        settlement_id=settlement.id,
        row_ids=[row.row_id for row in shown],
        shown=[_encode(row).decode() for row in shown],
        now=now,
    )
    return set(added.scalars())


async def with_rows_due(tx: Tx, account_id: str, limit: int) -> list[Settlement]:
    """Settlements whose rows are to be read (on)."""
    return [read(row) for row in await tx.execute(_ROWS_DUE, account=account_id, rows=limit)]


async def with_payments_due(tx: Tx, account_id: str, limit: int) -> list[Settlement]:
    """Settlements of which some payments have not been told."""
    return [read(row) for row in await tx.execute(_PAYMENTS_DUE, account=account_id, rows=limit)]


async def payments_told(tx: Tx, settlement: Settlement) -> None:
    """All payments of a locked settlement know of it."""
    await tx.execute(_PAYMENTS_TOLD, id=settlement.id)


async def rows_to_apply(tx: Tx, settlement: Settlement, limit: int) -> list[StoredRow]:
    """Rows of payments that were not told of the settlement's status yet."""
    others = ["", *(status.value for status in SettlementStatus if status is not settlement.status)]
    rows = await tx.execute(_TO_APPLY, settlement_id=settlement.id, others=others, rows=limit)
    return [read_row(row, settlement.gateway_settlement_id) for row in rows]


async def mark_applied(tx: Tx, rows: Sequence[StoredRow], status: SettlementStatus) -> None:
    await tx.execute(_APPLIED, status=status.value, ids=sorted(row.id for row in rows))


async def set_payment_status(tx: Tx, payment_ids: Collection[UUID], status: SettlementStatus) -> None:
    """The settlement status of locked payments."""
    if payment_ids:
        await tx.execute(_PAYMENT_STATUS, status=status.value, ids=sorted(payment_ids))


def read(row: Row) -> Settlement:
    return Settlement(
        id=row["id"],
        gateway=row["gateway"],
        gateway_account_id=row["gateway_account_id"],
        merchant_id=row["merchant_id"],
        gateway_settlement_id=row["gateway_settlement_id"],
        utr=row["utr"],
        status=SettlementStatus(row["status"]),
        currency=row["currency"],
        figures=Figures(
            row["gross_minor"], row["fee_minor"], row["fee_tax_minor"], row["adjustment_minor"], row["net_minor"]
        ),
        booked=Figures(
            row["booked_gross_minor"],
            row["booked_fee_minor"],
            row["booked_fee_tax_minor"],
            row["booked_adjustment_minor"],
            row["booked_net_minor"],
        ),
        settled_at=row["settled_at"],
        seq=row["seq"],
        rows_due=row["rows_due"],
        rows_cursor=row["rows_cursor"],
        payments_due=row["payments_due"],
        unreadable=row["unreadable"],
        imported_at=row["imported_at"],
        updated_at=row["updated_at"],
    )


def read_row(row: Row, gateway_settlement_id: str) -> StoredRow:
    currency = row["currency"]
    shown = SettlementRow(
        row_id=row["row_id"],
        gateway_settlement_id=gateway_settlement_id,
        kind=RowKind(row["kind"]),
        order_id=row["order_id"],
        gateway_payment_id=row["gateway_payment_id"],
        reference=row["reference"],
        amount=Money(row["amount_minor"], currency),
        fee=Money(row["fee_minor"], currency),
        fee_tax=Money(row["fee_tax_minor"], currency),
        net=Money(row["net_minor"], currency),
        at=row["event_at"],
        utr=row["utr"],
    )
    return StoredRow(row["id"], row["settlement_id"], row["payment_id"], shown)


def _line(settlement: Settlement) -> dict[str, object]:
    own, booked = settlement.figures, settlement.booked
    return {
        **{name: getattr(settlement, name) for name, _ in _COLUMNS if name in Settlement.__struct_fields__},
        "status": settlement.status.value,
        "gross_minor": own.gross,
        "fee_minor": own.fee,
        "fee_tax_minor": own.fee_tax,
        "adjustment_minor": own.adjustment,
        "net_minor": own.net,
        "booked_gross_minor": booked.gross,
        "booked_fee_minor": booked.fee,
        "booked_fee_tax_minor": booked.fee_tax,
        "booked_adjustment_minor": booked.adjustment,
        "booked_net_minor": booked.net,
    }
