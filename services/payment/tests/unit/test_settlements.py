"""Settlements as values: what is taken over, what is booked, what contradicts; every sequence books what is shown."""

from datetime import UTC, date, datetime
from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from common import ids
from common.money import Money
from gateways.settlements import RowKind, SettlementRow, SettlementSnapshot, SettlementStatus
from payment.domain.settlements import NOTHING, Account, Figures, Settlement, chunk, contradicts, take_over

NOW = datetime(2026, 4, 2, 6, 0, tzinfo=UTC)
ACCOUNT = Account("gwa_cashfree", "cashfree", "mer_commdesk")


def shown(
    status: SettlementStatus = SettlementStatus.SETTLED, gross: int = 50_000, fee: int = 950, adjustment: int = 0
) -> SettlementSnapshot:
    net = gross - fee - 171 - adjustment
    return SettlementSnapshot(
        gateway_settlement_id="1",
        utr="U1",
        status=status,
        gross=Money(gross),
        fee=Money(fee),
        fee_tax=Money(171),
        adjustment=Money(adjustment),
        net=Money(net),
        settled_at=NOW,
    )


snapshots = st.builds(
    shown,
    st.sampled_from(SettlementStatus),
    st.integers(-(10**9), 10**9),
    st.integers(0, 10**6),
    st.integers(-500, 500),
)


@given(st.lists(snapshots, min_size=1, max_size=12))
def test_what_is_booked_is_what_the_gateway_shows_as_settled_last(history: list[SettlementSnapshot]) -> None:
    known: Settlement | None = None
    booked, seq, first_id = NOTHING, 0, UUID(int=7)
    for snapshot in history:
        outcome = take_over(known, snapshot, ACCOUNT, first_id, NOW)
        if outcome is None:
            continue
        known, delta = outcome
        seq += 1
        booked = Figures(*(getattr(booked, name) + getattr(delta, name) for name in Figures.__struct_fields__))
        assert (known.seq, known.id) == (seq, first_id)
        assert known.booked == booked
        assert booked.gross == booked.net + booked.fee + booked.fee_tax + booked.adjustment
        assert known.rows_due
    assert known is not None
    last = history[-1]
    is_settled = last.status is SettlementStatus.SETTLED
    assert booked.net == (last.net.minor if is_settled else 0)
    # The same again changes nothing.
    assert take_over(known, last, ACCOUNT, ids.new(), NOW) is None


def row(**fields: object) -> SettlementRow:
    usual = SettlementRow(
        row_id="PAYMENT:1",
        gateway_settlement_id="1",
        kind=RowKind.PAYMENT,
        order_id="ord_1",
        gateway_payment_id="1",
        reference="",
        amount=Money(100),
        fee=Money(2),
        fee_tax=Money(0),
        net=Money(98),
        at=NOW,
    )
    return msgspec.structs.replace(usual, **fields)


def test_a_row_that_is_shown_otherwise_contradicts_and_one_that_gets_its_utr_does_not() -> None:
    assert not contradicts(row(), row(utr="U1"))
    assert contradicts(row(), row(net=Money(97), fee=Money(3)))
    assert contradicts(row(), row(order_id="ord_2"))
    assert contradicts(row(), row(kind=RowKind.REFUND))


def test_days_are_read_a_month_at_a_time() -> None:
    today = date(2026, 4, 30)
    assert chunk(date(2026, 1, 1), today) == (date(2026, 1, 1), date(2026, 1, 30))
    assert chunk(date(2026, 4, 20), today) == (date(2026, 4, 20), today)
    assert chunk(date(2026, 5, 1), today) == (today, today)
