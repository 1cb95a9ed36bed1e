"""Cashfree's settlements and their rows, as tables: what is sent, and what each page is taken for."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from common.money import Money
from gateways import SettlementWebhook, Unknown
from gateways.cashfree import settlements
from gateways.cashfree.webhooks import parse_webhook, summarise_webhook
from gateways.settlements import (
    RowKind,
    SettlementPage,
    SettlementRow,
    SettlementSnapshot,
    SettlementStatus,
    SettlementWindow,
)

SETTLEMENT = {
    "cf_settlement_id": "738",
    "status": "SUCCESS",
    "settlement_utr": "1644822317781212",
    "settlement_processed_on": "2025-02-14T12:35:19+05:30",
    "payment_amount": 100,
    "pg_service_charge": 1.75,
    "pg_service_tax": 0.31,
    "adjustment": 0,
    "settlement_charge": 0,
    "settlement_tax": 0,
    "amount_settled": 97.94,
    "charge_type": "PREPAID",
}
SNAPSHOT = SettlementSnapshot(
    gateway_settlement_id="738",
    utr="1644822317781212",
    status=SettlementStatus.SETTLED,
    gross=Money(10_000),
    fee=Money(175),
    fee_tax=Money(31),
    adjustment=Money(0),
    net=Money(9_794),
    settled_at=datetime(2025, 2, 14, 7, 5, 19, tzinfo=UTC),
)
ROW: dict[str, Any] = {
    "event_details": {
        "event_id": "43594",
        "event_type": "PAYMENT",
        "event_settlement_amount": 97.94,
        "event_amount": 100,
        "sale_type": "CREDIT",
        "event_status": "SUCCESS",
        "entity": "recon",
        "event_time": "2025-02-13T10:00:00+05:30",
        "event_currency": "INR",
        "event_service_charge": 1.75,
        "event_service_tax": 0.31,
        "event_remarks": "null,",
    },
    "order_details": {"order_id": "ord_1", "order_amount": 100, "order_currency": "INR"},
    "cutomer_details": {"customer_email": "asha@example.in"},
    "payment_details": {"cf_payment_id": "553338", "bank_reference": 12345},
    "settlement_details": {"cf_settlement_id": "738", "utr": "1644822317781212"},
    "refund_details": {"refund_id": None},
    "dispute_details": None,
}


def page(*data: Any, cursor: str | None = None) -> bytes:
    return json.dumps({"cursor": cursor, "limit": len(data), "data": data}).encode()


def read(*data: Any) -> list[SettlementRow]:
    answer = settlements.parse_get_rows("738", 200, page(*data), "")
    assert not isinstance(answer, Unknown)
    assert not answer.unreadable
    return list(answer.rows)


def row(refund: Any = None, **event: Any) -> dict[str, Any]:
    return {**ROW, "event_details": {**ROW["event_details"], **event}, "refund_details": refund}


def test_days_are_asked_for_in_indias_time_and_a_page_by_its_cursor() -> None:
    window = SettlementWindow(date(2026, 4, 1), date(2026, 4, 2))
    first = settlements.build_get_settlements(window, "")
    assert (first.method, first.path) == ("POST", "/settlements")
    filters = {"start_date": "2026-04-01T00:00:00+05:30", "end_date": "2026-04-02T23:59:59+05:30"}
    assert json.loads(first.body) == {"pagination": {"limit": 1000}, "filters": filters}
    following = settlements.build_get_rows("738", "c1")
    assert (following.method, following.path) == ("POST", "/settlement/recon")
    assert json.loads(following.body) == {
        "pagination": {"limit": 1000, "cursor": "c1"},
        "filters": {"cf_settlement_ids": [738]},
    }
    assert json.loads(settlements.build_get_rows("S-1", "").body)["filters"] == {"cf_settlement_ids": ["S-1"]}


def test_a_settlement_adds_up() -> None:
    assert settlements.parse_get_settlements(200, page(SETTLEMENT), "") == SettlementPage((SNAPSHOT,))


@pytest.mark.parametrize(
    ("fields", "fee", "fee_tax", "adjustment"),
    [
        ({}, 175, 31, 0),
        ({"pg_service_tax": 0, "amount_settled": 98.25}, 175, 0, 0),
        # Cashfree's adjustment is what it pays on top, ours what it withholds.
        ({"adjustment": -20, "amount_settled": 77.94}, 175, 31, 2_000),
        ({"adjustment": 20, "amount_settled": 117.94}, 175, 31, -2_000),
        ({"settlement_charge": 3, "settlement_tax": 0.54, "amount_settled": 94.4}, 475, 85, 0),
        ({"pg_service_charge": 1.7549}, 175, 31, 0),
        # More was taken for refunds than came in.
        ({"payment_amount": -10, "amount_settled": -12.06}, 175, 31, 0),
        ({"pg_service_charge": None, "pg_service_tax": None}, 0, 0, 206),
    ],
)
def test_charges_and_adjustments(fields: dict[str, Any], fee: int, fee_tax: int, adjustment: int) -> None:
    answer = settlements.parse_get_settlements(200, page(SETTLEMENT | fields), "")
    assert not isinstance(answer, Unknown)
    [it] = answer.settlements
    assert (it.fee.minor, it.fee_tax.minor, it.adjustment.minor) == (fee, fee_tax, adjustment)
    assert it.gross.minor == it.net.minor + fee + fee_tax + adjustment


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("SUCCESS", SettlementStatus.SETTLED),
        ("PENDING", SettlementStatus.PENDING),
        ("PENDING_WITH_CASHFREE", SettlementStatus.PENDING),
        ("PENDING_WITH_BANK", SettlementStatus.PENDING),
        ("FAILED", SettlementStatus.ON_HOLD),
        ("REVERSED", SettlementStatus.REVERSED),
        ("NEXT_YEARS_WORD", SettlementStatus.PENDING),
    ],
)
def test_words_become_statuses(word: str, status: SettlementStatus) -> None:
    answer = settlements.parse_get_settlements(200, page(SETTLEMENT | {"status": word}), "")
    assert not isinstance(answer, Unknown)
    assert answer.settlements[0].status is status


def test_the_cursor_ends_with_the_data_and_never_runs_in_a_circle() -> None:
    following = settlements.parse_get_settlements(200, page(SETTLEMENT, cursor="c2"), "c1")
    assert isinstance(following, SettlementPage)
    assert following.next_cursor == "c2"
    last = settlements.parse_get_settlements(200, page(cursor="c3"), "c2")
    assert last == SettlementPage(())
    assert settlements.parse_get_settlements(200, page(SETTLEMENT, cursor="c2"), "c2") == Unknown("cursor_repeated")


@pytest.mark.parametrize("status", [201, 400, 401, 403, 404, 429, 500, 503])
def test_another_status_is_unknown(status: int) -> None:
    assert isinstance(settlements.parse_get_settlements(status, page(SETTLEMENT), ""), Unknown)
    assert isinstance(settlements.parse_get_rows("738", status, page(ROW), ""), Unknown)


def test_entries_that_cannot_be_read_are_counted_and_hide_no_others() -> None:
    odd = [7, None, {**SETTLEMENT, "amount_settled": None}, {**SETTLEMENT, "payment_amount": 1.005}]
    answer = settlements.parse_get_settlements(200, page(*odd, SETTLEMENT), "")
    assert answer == SettlementPage((SNAPSHOT,), "", 4)
    foreign = {**ROW, "settlement_details": {"cf_settlement_id": "739"}}
    rows = settlements.parse_get_rows("738", 200, page(7, foreign, row(event_id=None), ROW), "")
    assert not isinstance(rows, Unknown)
    assert (len(rows.rows), rows.unreadable) == (1, 3)


def test_a_payments_row() -> None:
    [it] = read(ROW)
    assert it == SettlementRow(
        row_id="PAYMENT:43594",
        gateway_settlement_id="738",
        kind=RowKind.PAYMENT,
        order_id="ord_1",
        gateway_payment_id="553338",
        reference="",
        amount=Money(10_000),
        fee=Money(175),
        fee_tax=Money(31),
        net=Money(9_794),
        at=datetime(2025, 2, 13, 4, 30, tzinfo=UTC),
        utr="1644822317781212",
    )


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("shape", [{"refund_id": "rfd_1"}, [{"refund_id": "rfd_1"}]])
@pytest.mark.parametrize("sale_type", ["DEBIT", None])
def test_a_refunds_row_takes_from_us_however_it_is_written(sign: int, shape: Any, sale_type: str | None) -> None:
    raw = row(shape, event_type="REFUND", sale_type=sale_type, event_amount=sign * 40, event_service_tax=0)
    raw["event_details"]["event_settlement_amount"] = sign * 42
    [it] = read(raw)
    assert (it.kind, it.reference) == (RowKind.REFUND, "rfd_1")
    assert (it.amount.minor, it.fee.minor, it.fee_tax.minor, it.net.minor) == (-4_000, 200, 0, -4_200)


@pytest.mark.parametrize(
    ("type_", "sale_type", "kind", "sign"),
    [
        ("REFUND_REVERSAL", "CREDIT", RowKind.REFUND, 1),
        ("DISPUTE", "DEBIT", RowKind.DISPUTE, -1),
        ("DISPUTE_REVERSAL", "CREDIT", RowKind.DISPUTE, 1),
        ("CHARGEBACK", "DEBIT", RowKind.DISPUTE, -1),
        ("CHARGEBACK_REVERSAL", "CREDIT", RowKind.DISPUTE, 1),
        ("OTHER_ADJUSTMENT", "DEBIT", RowKind.ADJUSTMENT, -1),
        ("FUND_SWEEP_REVERSAL", "CREDIT", RowKind.ADJUSTMENT, 1),
    ],
)
def test_other_rows(type_: str, sale_type: str, kind: RowKind, sign: int) -> None:
    [it] = read(row(event_type=type_, sale_type=sale_type, event_amount=5, event_settlement_amount=5))
    assert (it.kind, it.amount.minor, it.net.minor, it.fee.minor) == (kind, sign * 500, sign * 500, 0)
    assert it.reference == ("43594" if kind is RowKind.DISPUTE else "")
    assert it.row_id == f"{type_}:43594"


def test_charges_that_are_billed_apart_are_not_in_the_row() -> None:
    [it] = read(row(event_settlement_amount=100))
    assert (it.fee.minor, it.fee_tax.minor, it.net.minor) == (0, 0, 10_000)


@pytest.mark.parametrize("utr", [1644822317781212, "1644822317781212"])
def test_a_webhook_names_the_settlement_to_read(utr: object) -> None:
    what = {"settlement_id": 738, "status": "SUCCESS", "utr": utr, "amount_settled": 97.94}
    body = json.dumps({"data": {"settlement": what}, "type": "SETTLEMENT_SUCCESS"}).encode()
    assert parse_webhook(body) == SettlementWebhook("738", SettlementStatus.SETTLED, "1644822317781212")
    assert summarise_webhook(body).identity
    begun = body.replace(b'"SUCCESS"', b'"CREATED"').replace(json.dumps(utr).encode(), b"null")
    assert parse_webhook(begun) == SettlementWebhook("738", SettlementStatus.PENDING)
    assert summarise_webhook(begun).identity != summarise_webhook(body).identity
