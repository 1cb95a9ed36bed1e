"""A month of payments on which every side agrees, and faults to plant: each says what has to be found."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta

from msgspec import Struct, field
from msgspec.structs import replace

from common import ids
from reconciler.domain.differences import Kind
from reconciler.domain.records import (
    IST,
    AccountSum,
    BankLine,
    Coverage,
    Grant,
    PaymentFacts,
    PaymentRecord,
    RefundRecord,
    Settlement,
    SettlementFacts,
    SettlementRow,
    working_days_after,
)
from reconciler.domain.settlement_rules import words_of
from reconciler.domain.terms import Terms

# A Tuesday, weeks after the last payment: nothing is on its way any more.
NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
# Friday and Saturday: a week's end, a month's end.
FIRST_DAY = date(2026, 1, 30)
DAYS = 20
TERMS = Terms(fee_basis_points={"upi": 0, "card": 190, "*": 200})
METHODS = ("upi", "card", "netbanking")


class Expected(Struct, frozen=True, order=True):
    """One finding: kind, reference, payment and amount."""

    kind: str
    reference: str
    payment_id: str
    amount_minor: int


class World(Struct):
    """Both sides. Mutable: faults change it."""

    random: random.Random
    records: dict[str, PaymentRecord] = field(default_factory=dict)
    rows: dict[str, list[SettlementRow]] = field(default_factory=dict)
    refunds: dict[str, list[RefundRecord]] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    sums: dict[str, list[AccountSum]] = field(default_factory=dict)
    settlements: dict[str, Settlement] = field(default_factory=dict)
    # The settlements in which a payment has rows.
    places: dict[str, list[str]] = field(default_factory=dict)
    by_day: dict[date, str] = field(default_factory=dict)
    lines: list[BankLine] = field(default_factory=list)
    expected: list[Expected] = field(default_factory=list)
    # What a fault takes off a settlement's sums, and what it does to the bank's lines; by settlement.
    short: dict[str, int] = field(default_factory=dict)
    bank_off: dict[str, int | None] = field(default_factory=dict)

    def expect(self, kind: Kind, payment_id: str, amount_minor: int, reference: str = "") -> None:
        self.expected.append(Expected(kind, reference or payment_id, payment_id, amount_minor))

    def rows_of(self, payment_id: str) -> Iterator[SettlementRow]:
        """Those of the settlements in which the payment is: for planting."""
        places = self.places.get(payment_id, ())
        return (row for each in places for row in self.rows[each] if row.payment_id == payment_id)

    def own_row(self, payment_id: str) -> SettlementRow:
        return next(row for row in self.rows_of(payment_id) if row.kind == "PAYMENT")

    def change_row(self, row: SettlementRow, *changed: SettlementRow) -> None:
        """*changed* in the place of *row*."""
        rows = self.rows[row.settlement_id]
        at = rows.index(row)
        rows[at : at + 1] = changed

    def change(self, payment_id: str, **fields: object) -> None:
        self.records[payment_id] = replace(self.records[payment_id], **fields)

    def id(self, prefix: str) -> str:
        return ids.encode(prefix, ids.new())

    def finish(self) -> "World":
        """Add up the settlements, have the bank book them."""
        for settlement_id, rows in self.rows.items():
            settlement = self.settlements[settlement_id]
            gross = sum(row.amount_minor for row in rows) - self.short.get(settlement_id, 0)
            fee, tax = sum(row.fee_minor for row in rows), sum(row.fee_tax_minor for row in rows)
            settlement = replace(
                settlement, gross_minor=gross, fee_minor=fee, fee_tax_minor=tax, net_minor=gross - fee - tax
            )
            self.settlements[settlement_id] = settlement
            if (off := self.bank_off.get(settlement_id, 0)) is None or settlement.settled_at is None:
                continue
            self.lines.append(
                BankLine(
                    line_id=self.id("bnk"),
                    account="000123",
                    booked_on=settlement.settled_at.astimezone(IST).date(),
                    amount_minor=settlement.net_minor + off,
                    currency="INR",
                    words=words_of(f"NEFT CR-{settlement.utr}-CASHFREE PAYMENTS"),
                )
            )
        return self

    def payment_facts(self) -> Iterator[PaymentFacts]:
        rows: dict[str, list[SettlementRow]] = {}
        for each in self.rows.values():
            for row in each:
                rows.setdefault(row.payment_id, []).append(row)
        for payment_id, record in self.records.items():
            yield PaymentFacts(
                record=record,
                rows=rows.get(payment_id, ()),
                settlements=self.settlements,
                refunds=self.refunds.get(payment_id, ()),
                grant=self.grants.get(payment_id),
                sums=self.sums.get(payment_id, ()),
            )

    def settlement_facts(self) -> Iterator[SettlementFacts]:
        for settlement_id, settlement in self.settlements.items():
            yield SettlementFacts(
                settlement=settlement,
                rows=self.rows[settlement_id],
                lines=self.lines,
                coverage=[Coverage("000123", FIRST_DAY, NOW.date())],
                accounts=["000123"],
            )


def world(seed: int, count: int) -> World:
    """*count* payments that agree everywhere, settled and some of them refunded, at every hour of the day in India."""
    made = World(random.Random(seed))
    for number in range(count):
        _add_payment(made, number)
    return made


def _add_payment(made: World, number: int) -> None:
    dice = made.random
    day = FIRST_DAY + timedelta(days=dice.randrange(DAYS))
    moment = dice.choice([time(0, 0, 0), time(0, 0, 1), time(23, 59, 59), time(dice.randrange(24), dice.randrange(60))])
    paid_at = datetime.combine(day, moment, IST).astimezone(UTC)
    amount = dice.randrange(100, 1_000_000)
    refund = dice.choice([0, 0, 0, 0, 0, 0, amount, max(1, amount // 3)])
    payment_id = made.id("pay")
    record = PaymentRecord(
        payment_id=payment_id,
        merchant_id="mer_commdesk",
        order_id=f"ord_{number}",
        gateway="cashfree",
        account_id="gwa_1",
        gateway_payment_id=str(10_000_000 + number),
        status={0: "SETTLED", amount: "REFUNDED"}.get(refund, "PARTIALLY_REFUNDED"),
        method=dice.choice(METHODS),
        amount_minor=amount,
        currency="INR",
        credits=amount // 10 + 1,
        refunded_minor=refund,
        unapplied_minor=0,
        is_confirmed=True,
        created_at=paid_at - timedelta(minutes=3),
        changed_at=paid_at + timedelta(days=2),
        paid_at=paid_at,
        webhook_at=paid_at + timedelta(seconds=1),
    )
    made.records[payment_id] = record
    fee = TERMS.fee(record.method, amount) or 0
    _settle(made, record, "PAYMENT", day, amount, fee, dice.choice([0, TERMS.fee_tax(fee)]))
    if refund:
        refund_id = made.id("rfd")
        made.refunds[payment_id] = [
            RefundRecord(
                refund_id=refund_id,
                payment_id=payment_id,
                status="SUCCESS",
                amount_minor=refund,
                currency="INR",
                created_at=paid_at + timedelta(hours=5),
            )
        ]
        _settle(made, record, "REFUND", day + timedelta(days=3), -refund, 0, 0, refund_id)
    made.grants[payment_id] = granted(record)
    made.sums[payment_id] = booked(record, refund)


def granted(record: PaymentRecord) -> Grant:
    """What it bought, once."""
    return Grant(payment_id=record.payment_id, credits=record.credits, granted_again=0, reversed=0, grants=1)


def booked(record: PaymentRecord, refunded_minor: int = 0) -> list[AccountSum]:
    """The money on the gateway's account, the credits as issued."""
    return [
        AccountSum(account="asset:gateway:cashfree", asset="INR", debit=record.amount_minor, credit=refunded_minor),
        AccountSum(account="issued", asset="CREDIT", debit=record.credits, credit=0),
    ]


def _settle(
    made: World, record: PaymentRecord, kind: str, day: date, amount: int, fee: int, tax: int, refund_id: str = ""
) -> SettlementRow:
    paid_out = working_days_after(day, 1)
    if paid_out not in made.by_day:
        settlement_id = made.id("stl")
        made.by_day[paid_out] = settlement_id
        made.rows[settlement_id] = []
        made.settlements[settlement_id] = Settlement(
            settlement_id=settlement_id,
            merchant_id="mer_commdesk",
            gateway="cashfree",
            account_id="gwa_1",
            gateway_settlement_id=f"{len(made.settlements) + 1}",
            utr=f"CITIN{10_000_000 + len(made.settlements)}",
            status="SETTLED",
            currency="INR",
            gross_minor=0,
            fee_minor=0,
            fee_tax_minor=0,
            adjustment_minor=0,
            net_minor=0,
            seq=1,
            settled_at=datetime.combine(paid_out, time(11), IST).astimezone(UTC),
        )
    settlement = made.settlements[made.by_day[paid_out]]
    row = SettlementRow(
        row_id=f"{kind}:{refund_id or record.gateway_payment_id}",
        settlement_id=settlement.settlement_id,
        kind=kind,
        payment_id=record.payment_id,
        order_id=record.order_id,
        gateway_payment_id=record.gateway_payment_id,
        refund_id=refund_id,
        amount_minor=amount,
        fee_minor=fee,
        fee_tax_minor=tax,
        net_minor=amount - fee - tax,
        currency="INR",
        utr=settlement.utr,
        at=record.paid_at,
    )
    made.rows[settlement.settlement_id].append(row)
    places = made.places.setdefault(record.payment_id, [])
    if settlement.settlement_id not in places:
        places.append(settlement.settlement_id)
    return row


# ── Faults: each changes one payment, or one settlement, and says what has to be found ───────────────────────────


def _missing(made: World, payment_id: str) -> None:
    made.change_row(made.own_row(payment_id))
    made.expect(Kind.SETTLEMENT_MISSING, payment_id, made.records[payment_id].amount_minor)


def _delayed(made: World, payment_id: str) -> None:
    made.change_row(made.own_row(payment_id))
    paid_at = datetime(2026, 3, 25, 18, 29, 59, tzinfo=UTC)  # a second before midnight in India; due on the 30th
    made.change(payment_id, paid_at=paid_at)
    made.expect(Kind.SETTLEMENT_DELAYED, payment_id, made.records[payment_id].amount_minor)


def _short_row(made: World, payment_id: str) -> None:
    row = made.own_row(payment_id)
    made.change_row(row, replace(row, net_minor=row.net_minor - 77))
    made.expect(Kind.SETTLEMENT_SHORT, payment_id, 77)


def _doubled(made: World, payment_id: str) -> None:
    row = made.own_row(payment_id)
    made.change_row(row, row, replace(row, row_id=row.row_id + "-again"))
    made.expect(Kind.TRANSACTION_DUPLICATE, payment_id, row.amount_minor)


def _second_capture(made: World, payment_id: str) -> None:
    row = made.own_row(payment_id)
    made.change_row(row, row, replace(row, row_id=row.row_id + "-other", gateway_payment_id="99"))
    made.expect(Kind.TRANSACTION_DUPLICATE, payment_id, row.amount_minor)


def _refund_amount(made: World, payment_id: str) -> None:
    refund_id = _refunded(made, payment_id)
    row = next(row for row in made.rows_of(payment_id) if row.kind == "REFUND")
    made.change_row(row, replace(row, amount_minor=row.amount_minor - 5, net_minor=row.net_minor - 5))
    made.expect(Kind.REFUND_INCONSISTENT, payment_id, 5, refund_id)


def _refund_unknown_to_the_gateway(made: World, payment_id: str) -> None:
    refund_id = _refunded(made, payment_id)
    row = next(row for row in made.rows_of(payment_id) if row.kind == "REFUND")
    made.change_row(row)
    made.expect(Kind.REFUND_INCONSISTENT, payment_id, -row.amount_minor, refund_id)


def _refund_unknown_to_us(made: World, payment_id: str) -> None:
    record = made.records[payment_id]
    _settle(made, record, "REFUND", FIRST_DAY, -50, 0, 0, "rfd_of_nobody")
    made.expect(Kind.REFUND_INCONSISTENT, payment_id, 50)


def _refunded(made: World, payment_id: str) -> str:
    """The payment's refund, made here when there is none."""
    record = made.records[payment_id]
    if payment_id not in made.refunds:
        refund_id = made.id("rfd")
        made.refunds[payment_id] = [
            RefundRecord(
                refund_id=refund_id,
                payment_id=payment_id,
                status="SUCCESS",
                amount_minor=50,
                currency="INR",
                created_at=record.created_at,
            )
        ]
        made.change(payment_id, refunded_minor=50, status="PARTIALLY_REFUNDED")
        gateway, issued = made.sums[payment_id]
        made.sums[payment_id] = [replace(gateway, credit=50), issued]
        _settle(made, record, "REFUND", FIRST_DAY, -50, 0, 0, refund_id)
    return made.refunds[payment_id][0].refund_id


def orphan_at_gateway(made: World, payment_id: str) -> None:
    row = made.own_row(payment_id)
    orphan = replace(row, row_id=row.row_id + "-orphan", payment_id="", order_id="not_ours", gateway_payment_id="98")
    made.change_row(row, row, orphan)
    reference = f"{row.settlement_id}/{orphan.row_id}"
    made.expected.append(Expected(Kind.ORPHAN_AT_GATEWAY, reference, "", orphan.amount_minor))


def _orphan_with_us(made: World, payment_id: str) -> None:
    for row in list(made.rows_of(payment_id)):
        made.change_row(row)
    record = made.records[payment_id]
    made.refunds.pop(payment_id, None)
    gateway, issued = made.sums[payment_id]
    made.sums[payment_id] = [replace(gateway, credit=0), issued]
    made.change(payment_id, is_confirmed=False, status="SUCCESS", refunded_minor=0)
    made.expect(Kind.ORPHAN_WITH_US, payment_id, record.amount_minor)


def _fee(made: World, payment_id: str) -> None:
    row = made.own_row(payment_id)
    made.change_row(row, replace(row, fee_minor=row.fee_minor + 90, net_minor=row.net_minor - 90))
    made.expect(Kind.FEE_MISMATCH, payment_id, 90)


def _tax(made: World, payment_id: str) -> None:
    row = made.own_row(payment_id)
    due = TERMS.fee_tax(row.fee_minor)
    net = row.amount_minor - row.fee_minor - due - 40
    made.change_row(row, replace(row, fee_tax_minor=due + 40, net_minor=net))
    made.expect(Kind.TAX_MISMATCH, payment_id, 40)


def _amount(made: World, payment_id: str) -> None:
    row = made.own_row(payment_id)
    made.change_row(row, replace(row, amount_minor=row.amount_minor + 100, net_minor=row.net_minor + 100))
    made.expect(Kind.AMOUNT_MISMATCH, payment_id, 100)


def _currency(made: World, payment_id: str) -> None:
    row = made.own_row(payment_id)
    made.change_row(row, replace(row, currency="USD"))
    made.expect(Kind.CURRENCY_MISMATCH, payment_id, made.records[payment_id].amount_minor)


def _utr(made: World, payment_id: str) -> None:
    row = made.own_row(payment_id)
    made.change_row(row, replace(row, utr="CITIN99999999"))
    made.expect(Kind.UTR_MISMATCH, payment_id, row.net_minor)


def late_money(made: World, payment_id: str) -> None:
    _orphan_with_us(made, payment_id)
    made.expected.pop()
    record = made.records[payment_id]
    fee = TERMS.fee(record.method, record.amount_minor) or 0
    _settle(made, record, "PAYMENT", FIRST_DAY, record.amount_minor, fee, 0)
    made.change(payment_id, status="EXPIRED", paid_at=None, gateway_payment_id="")
    del made.grants[payment_id], made.sums[payment_id]
    made.expect(Kind.STATUS_MISMATCH, payment_id, record.amount_minor)


def _webhook(made: World, payment_id: str) -> None:
    made.change(payment_id, webhook_at=None)
    made.expect(Kind.WEBHOOK_MISSING, payment_id, made.records[payment_id].amount_minor)


def _no_grant(made: World, payment_id: str) -> None:
    del made.grants[payment_id]
    made.sums[payment_id] = made.sums[payment_id][:1]
    made.expect(Kind.GRANT_MISSING, payment_id, made.records[payment_id].amount_minor)


def _double_grant(made: World, payment_id: str) -> None:
    grant, [gateway, issued] = made.grants[payment_id], made.sums[payment_id]
    made.grants[payment_id] = replace(grant, credits=2 * grant.credits, grants=2)
    made.sums[payment_id] = [gateway, replace(issued, debit=2 * issued.debit)]
    made.expect(Kind.GRANT_DOUBLE, payment_id, made.records[payment_id].amount_minor)


def _other_grant(made: World, payment_id: str) -> None:
    grant, [gateway, issued] = made.grants[payment_id], made.sums[payment_id]
    made.grants[payment_id] = replace(grant, credits=grant.credits - 1)
    made.sums[payment_id] = [gateway, replace(issued, debit=issued.debit - 1)]
    record = made.records[payment_id]
    made.expect(Kind.GRANT_MISMATCH, payment_id, record.amount_minor // record.credits)


def _books(made: World, payment_id: str) -> None:
    gateway, issued = made.sums[payment_id]
    made.sums[payment_id] = [replace(gateway, debit=gateway.debit - 60), issued]
    made.expect(Kind.BOOKS_MISMATCH, payment_id, 60)


def _not_booked(made: World, payment_id: str) -> None:
    gateway, _ = made.sums.pop(payment_id)
    made.expect(Kind.BOOKS_MISMATCH, payment_id, gateway.debit - gateway.credit or _credits_worth(made, payment_id))


def _credits_worth(made: World, payment_id: str) -> int:
    return made.records[payment_id].amount_minor


def _short_settlement(made: World, payment_id: str) -> None:
    settlement_id = made.own_row(payment_id).settlement_id
    made.short[settlement_id] = 1_000
    made.expected.append(Expected(Kind.SETTLEMENT_SHORT, settlement_id, "", 1_000))


def _excess_settlement(made: World, payment_id: str) -> None:
    settlement_id = made.own_row(payment_id).settlement_id
    made.short[settlement_id] = -900
    made.expected.append(Expected(Kind.SETTLEMENT_EXCESS, settlement_id, "", 900))


def _no_bank_line(made: World, payment_id: str) -> None:
    made.bank_off[made.own_row(payment_id).settlement_id] = None


def _bank_amount(made: World, payment_id: str) -> None:
    settlement_id = made.own_row(payment_id).settlement_id
    made.bank_off[settlement_id] = -300
    made.expected.append(Expected(Kind.BANK_AMOUNT_MISMATCH, settlement_id, "", 300))


Fault = Callable[[World, str], None]
# Any number of each, on payments of their own.
PAYMENT_FAULTS: tuple[Fault, ...] = (
    _missing,
    _delayed,
    _short_row,
    _doubled,
    _second_capture,
    _refund_amount,
    _refund_unknown_to_the_gateway,
    _refund_unknown_to_us,
    orphan_at_gateway,
    _orphan_with_us,
    _fee,
    _tax,
    _amount,
    _currency,
    _utr,
    late_money,
    _webhook,
    _no_grant,
    _double_grant,
    _other_grant,
    _books,
    _not_booked,
)
# One of them on a settlement, in which no row is in another currency.
SETTLEMENT_FAULTS: tuple[Fault, ...] = (_short_settlement, _excess_settlement, _no_bank_line, _bank_amount)


def planted(seed: int, count: int, each: int = 1) -> World:
    """A world with every fault of payments *each* times, and each fault of settlements once where rows allow it."""
    made = world(seed, count)
    payments = made.random.sample(sorted(made.records), len(PAYMENT_FAULTS) * each)
    for number, payment_id in enumerate(payments):
        PAYMENT_FAULTS[number % len(PAYMENT_FAULTS)](made, payment_id)
    plant_in_settlements(made)
    made.finish()
    for settlement_id in (each for each, off in made.bank_off.items() if off is None):
        net = made.settlements[settlement_id].net_minor
        made.expected.append(Expected(Kind.BANK_LINE_MISSING, settlement_id, "", abs(net)))
    return made


def plant_in_settlements(made: World) -> None:
    """The faults of settlements, one on each of the largest without a row in another currency."""
    sums = {
        settlement_id: sum(row.net_minor for row in rows)
        for settlement_id, rows in made.rows.items()
        if all(row.currency == "INR" for row in rows) and any(row.kind == "PAYMENT" and row.payment_id for row in rows)
    }
    largest = sorted(sums, key=lambda each: -sums[each])
    for fault, settlement_id in zip(SETTLEMENT_FAULTS, largest, strict=False):
        row = next(row for row in made.rows[settlement_id] if row.kind == "PAYMENT" and row.payment_id)
        if made.own_row(row.payment_id).settlement_id == settlement_id:
            fault(made, row.payment_id)
