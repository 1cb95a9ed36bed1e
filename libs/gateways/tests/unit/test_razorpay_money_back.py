"""Razorpay's refunds, disputes and settlements: what is asked, in which order, and what each answer is taken for."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

import pytest

from common.money import Money
from gateways import GatewayAccount, OrderReference, Unknown
from gateways.client import HttpAnswer, HttpRequest
from gateways.disputes import DisputeStatus
from gateways.razorpay import refunds, settlements
from gateways.razorpay.adapter import RazorpayGateway
from gateways.razorpay.testing import payment_entity
from gateways.refunds import (
    REFUND_REFUSALS,
    RefundMissing,
    RefundRefused,
    RefundRequest,
    RefundSnapshot,
    RefundSpeed,
    RefundStatus,
)
from gateways.settlements import (
    RowKind,
    SettlementPage,
    SettlementRowPage,
    SettlementStatus,
    SettlementWindow,
)

OWN_ID = "order_DESlLckIVRkHWj"
PAYMENT = "pay_DESlfW9H8K9uqM"
ORDER = OrderReference("ord_1", OWN_ID)
MOMENT = 1_767_225_600  # 2026-01-01 05:30 in India

Answer: TypeAlias = tuple[int, Any] | Unknown


class Scripted:
    """Answers calls as a test says, and remembers them."""

    def __init__(self, answers: dict[str, Answer | Callable[[HttpRequest], Answer]]) -> None:
        self.answers = answers
        self.calls: list[HttpRequest] = []

    async def send(self, request: HttpRequest, order_id: str, timeout_seconds: float) -> HttpAnswer | Unknown:
        self.calls.append(request)
        answer = self.answers[request.operation]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Unknown):
            return answer
        status, body = answer
        return HttpAnswer(status, json.dumps(body).encode())

    def paths(self, operation: str) -> list[str]:
        return [call.path for call in self.calls if call.operation == operation]


def gateway(client: Scripted) -> RazorpayGateway:
    return RazorpayGateway(GatewayAccount(id="gwa_1", gateway="razorpay"), client)  # type: ignore[arg-type]


def items(*entities: Any) -> Answer:
    return 200, {"entity": "collection", "count": len(entities), "items": list(entities)}


def refund(**fields: Any) -> dict[str, Any]:
    usual = {
        "id": "rfnd_FP8QHiV938haTz",
        "entity": "refund",
        "amount": 5_000,
        "currency": "INR",
        "payment_id": PAYMENT,
        "notes": [],
        "receipt": "rfd_1",
        "acquirer_data": {"arn": None},
        "created_at": MOMENT,
        "status": "pending",
    }
    return usual | fields


def problem(description: str) -> dict[str, Any]:
    return {"error": {"code": "BAD_REQUEST_ERROR", "description": description, "reason": "input_validation_failed"}}


def request(**fields: Any) -> RefundRequest:
    usual: dict[str, Any] = {
        "refund_id": "rfd_1",
        "order": ORDER,
        "gateway_payment_id": PAYMENT,
        "amount": Money(5_000),
    }
    return RefundRequest(**usual | fields)


SNAPSHOT = RefundSnapshot("rfd_1", "rfnd_FP8QHiV938haTz", "ord_1", PAYMENT, RefundStatus.PENDING, Money(5_000))


# ── Refunds ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_refund_is_written_exactly() -> None:
    asked = request(refund_id="rfd_0123456789", note="spent by mistake", speed=RefundSpeed.INSTANT)
    call = refunds.build_create_refund(asked)
    assert (call.method, call.path) == ("POST", f"/v1/payments/{PAYMENT}/refund")
    assert call.headers == {"x-refund-idempotency": "rfd_0123456789"}
    assert json.loads(call.body) == {
        "amount": 5_000,
        "speed": "optimum",
        "receipt": "rfd_0123456789",
        "notes": {"refund_id": "rfd_0123456789", "reason": "spent by mistake"},
    }
    short = refunds.build_create_refund(request())
    # Razorpay takes no shorter key than ten characters.
    assert len(short.headers["x-refund-idempotency"]) == 64
    assert json.loads(short.body)["speed"] == "normal"


def test_attempts_share_a_key_until_nothing_under_it_can_be_at_work_any_more() -> None:
    """Razorpay answers a repeated key with what it answered before: perhaps with its own failure."""
    keys = [
        refunds.build_create_refund(request(refund_id="rfd_0123456789", attempt=attempt)).headers[
            "x-refund-idempotency"
        ]
        for attempt in range(1, 22)
    ]
    assert keys == ["rfd_0123456789"] * 10 + ["rfd_0123456789-1"] * 10 + ["rfd_0123456789-2"]


async def test_a_refund_is_made_once_it_was_looked_for() -> None:
    client = Scripted(
        {
            "read_attempts": items(payment_entity()),
            "read_refunds": items(),
            "create_refund": (200, refund()),
        }
    )
    assert await gateway(client).create_refund(request(), 1) == SNAPSHOT
    assert [call.operation for call in client.calls] == ["read_attempts", "read_refunds", "create_refund"]


@pytest.mark.parametrize("own", [{"receipt": "rfd_1"}, {"receipt": None, "notes": {"refund_id": "rfd_1"}}])
async def test_one_that_exists_is_answered_and_not_made_again(own: dict[str, Any]) -> None:
    """However long ago it was made: Razorpay does not say for how long it knows an idempotency key."""
    client = Scripted({"read_attempts": items(payment_entity()), "read_refunds": items(refund(**own))})
    assert await gateway(client).create_refund(request(), 1) == SNAPSHOT


@pytest.mark.parametrize("lost", ["read_attempts", "read_refunds", "create_refund"])
@pytest.mark.parametrize("answer", [Unknown("timeout"), (500, {}), (429, {}), (401, problem("Authentication failed"))])
async def test_what_is_not_answered_is_unknown_and_makes_nothing(lost: str, answer: Answer) -> None:
    answers = {
        "read_attempts": items(payment_entity()),
        "read_refunds": items(),
        "create_refund": (200, refund()),
    }
    client = Scripted({**answers, lost: answer})
    assert isinstance(await gateway(client).create_refund(request(), 1), Unknown)
    assert client.calls[-1].operation == lost


@pytest.mark.parametrize(
    ("listed", "result"),
    [
        ([], RefundRefused("not_paid")),
        ([payment_entity(id="pay_2")], RefundRefused("not_paid")),
        ([payment_entity(status="authorized", captured=False)], RefundRefused("not_paid")),
        ([payment_entity(status="refunded", captured=False)], RefundRefused("not_paid")),
        ([payment_entity(status="something_new")], Unknown("payment_unreadable")),
    ],
)
async def test_only_a_capture_of_the_order_is_given_back(listed: list[Any], result: object) -> None:
    """Another order's payment is not: the reference names the order, and the id may come from anywhere."""
    client = Scripted({"read_attempts": items(*listed)})
    assert await gateway(client).create_refund(request(), 1) == result


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ("The refund amount provided is greater than amount captured.", "amount_too_large"),
        ("The payment has been fully refunded already.", "amount_too_large"),
        ("Your account does not have enough balance to carry out the refund operation.", "balance_insufficient"),
        (
            "Refund is not supported by the bank because the payment is more than 6 months old",
            "window_over",
        ),
        ("The payment status should be captured for action to be taken", "not_paid"),
        ("Refund is not allowed since there is an open dispute on the payment", "disputed"),
        ("Refund is not supported for this method", "refund_unsupported"),
        ("The amount must be at least INR 1.00", "refused"),
    ],
)
async def test_refusals(description: str, reason: str) -> None:
    client = Scripted(
        {
            "read_attempts": items(payment_entity()),
            "read_refunds": items(),
            "create_refund": (400, problem(description)),
        }
    )
    assert await gateway(client).create_refund(request(), 1) == RefundRefused(reason)
    assert reason in REFUND_REFUSALS


async def test_a_key_that_is_in_use_means_that_the_refund_is_read() -> None:
    lists = iter([items(), items(refund())])
    client = Scripted(
        {
            "read_attempts": items(payment_entity()),
            "read_refunds": lambda _: next(lists),
            "create_refund": (409, problem("Another request with the same idempotency key is still in progress.")),
        }
    )
    assert await gateway(client).create_refund(request(), 1) == SNAPSHOT
    client.answers["read_refunds"] = items()
    assert await gateway(client).create_refund(request(), 1) == Unknown("refund_not_found_after_conflict")


@pytest.mark.parametrize(
    "answer",
    [refund(receipt="rfd_2"), refund(payment_id="pay_2"), refund(amount=None), refund(id="?"), refund(amount=0.5), []],
    ids=str,
)
async def test_another_refunds_answer_is_none(answer: Any) -> None:
    client = Scripted(
        {"read_attempts": items(payment_entity()), "read_refunds": items(), "create_refund": (200, answer)}
    )
    assert isinstance(await gateway(client).create_refund(request(), 1), Unknown)


async def test_the_refunds_of_an_order_are_those_of_all_its_captures() -> None:
    by_payment = {
        "pay_1": items(refund(payment_id="pay_1"), refund(id=7), refund(id="rfnd_x", payment_id="pay_9")),
        "pay_2": items(refund(id="rfnd_2", payment_id="pay_2", receipt=None, status="processed")),
    }
    client = Scripted(
        {
            "read_attempts": items(
                payment_entity(id="pay_1"),
                payment_entity(id="pay_2", status="refunded"),
                payment_entity(id="pay_3", status="failed", captured=False),
                payment_entity(id="pay_4", status="refunded", captured=False),
            ),
            "read_refunds": lambda call: by_payment[call.path.split("/")[3]],
        }
    )
    listed = await gateway(client).read_refunds(ORDER, 1)
    assert not isinstance(listed, Unknown)
    assert [(each.gateway_refund_id, each.status) for each in listed] == [
        ("rfnd_FP8QHiV938haTz", RefundStatus.PENDING),
        ("rfnd_2", RefundStatus.SUCCESS),
    ]
    assert listed[1].processed_at == datetime.fromtimestamp(MOMENT, UTC)
    read = await gateway(client).read_refund(ORDER, "rfd_1", 1)
    assert isinstance(read, RefundSnapshot)
    assert await gateway(client).read_refund(ORDER, "rfd_9", 1) == RefundMissing("rfd_9")


async def test_a_payment_that_cannot_be_read_leaves_the_list_unknown() -> None:
    client = Scripted({"read_attempts": items(payment_entity(amount="?"))})
    assert await gateway(client).read_refunds(ORDER, 1) == Unknown("payment_unreadable")


# ── Disputes ─────────────────────────────────────────────────────────────────────────────────────────────────────


def dispute(**fields: Any) -> dict[str, Any]:
    usual = {
        "id": "disp_Esz7KAitoYM7PJ",
        "payment_id": PAYMENT,
        "amount": 17_000,
        "currency": "INR",
        "amount_deducted": 0,
        "reason_code": "pre_arbitration",
        "respond_by": MOMENT + 604_800,
        "status": "open",
        "created_at": MOMENT,
    }
    return usual | fields


async def test_the_disputes_of_an_order_are_picked_out_of_the_accounts_list() -> None:
    pages = {
        "0": items(*[dispute(id=f"disp_{n}", payment_id="pay_9") for n in range(99)], dispute(id=7)),
        "100": items(dispute(status="lost"), dispute(id="disp_2", payment_id="pay_9")),
    }
    client = Scripted(
        {
            "read_attempts": items(payment_entity()),
            "read_disputes": lambda call: pages[call.path.split("skip=")[1].split("&")[0]],
        }
    )
    listed = await gateway(client).read_disputes(ORDER, 1)
    assert not isinstance(listed, Unknown)
    assert [(each.gateway_dispute_id, each.order_id, each.status) for each in listed] == [
        ("disp_Esz7KAitoYM7PJ", "ord_1", DisputeStatus.LOST)
    ]
    assert all("from=1767225590" in path for path in client.paths("read_disputes"))


async def test_an_order_that_nobody_tried_to_pay_has_no_dispute() -> None:
    assert await gateway(Scripted({"read_attempts": items()})).read_disputes(ORDER, 1) == []


async def test_a_list_of_disputes_has_an_end() -> None:
    page = items(*[dispute(id=f"disp_{n}", payment_id="pay_9") for n in range(100)])
    client = Scripted({"read_attempts": items(payment_entity(created_at=None)), "read_disputes": page})
    assert await gateway(client).read_disputes(ORDER, 1) == Unknown("too_many_disputes")
    assert not any("from=" in path for path in client.paths("read_disputes"))


# ── Settlements ──────────────────────────────────────────────────────────────────────────────────────────────────


def settlement(**fields: Any) -> dict[str, Any]:
    usual = {
        "id": "setl_1",
        "entity": "settlement",
        "amount": 91_400,
        "status": "processed",
        "fees": 0,
        "tax": 0,
        "utr": "1568176960vxp0rj",
        "created_at": MOMENT,
    }
    return usual | fields


def row(**fields: Any) -> dict[str, Any]:
    usual = {
        "entity_id": "pay_1",
        "type": "payment",
        "debit": 0,
        "credit": 97_100,
        "amount": 100_000,
        "currency": "INR",
        "fee": 2_900,
        "tax": 442,
        "on_hold": False,
        "settled": True,
        "created_at": MOMENT - 100,
        "settled_at": MOMENT,
        "settlement_id": "setl_1",
        "settlement_utr": "1568176960vxp0rj",
        "payment_id": None,
        "order_id": OWN_ID,
        "order_receipt": "ord_1",
        "method": "upi",
        "notes": None,
        "dispute_id": None,
    }
    return usual | fields


ROWS = [
    row(),
    row(
        entity_id="rfnd_1",
        type="refund",
        debit=5_000,
        credit=0,
        amount=5_000,
        fee=0,
        tax=0,
        payment_id="pay_1",
        notes='{"refund_id": "rfd_1"}',
    ),
    row(entity_id="adj_1", type="adjustment", debit=0, credit=1_012, amount=1_012, fee=0, tax=0, order_receipt=None),
    row(
        entity_id="adj_2",
        type="adjustment",
        debit=1_712,
        credit=0,
        amount=1_712,
        fee=0,
        tax=0,
        dispute_id="disp_1",
        payment_id="pay_1",
    ),
    row(entity_id="pay_2", settlement_id="setl_2", credit=1_000_000, amount=1_000_000, fee=0, tax=0),
]
WINDOW = SettlementWindow(date(2026, 1, 1), date(2026, 1, 2))


async def test_a_settlement_is_what_its_rows_say() -> None:
    client = Scripted({"read_settlements": items(settlement()), "read_settlement_rows": items(*ROWS)})
    page = await gateway(client).read_settlements(WINDOW, "", 1)
    assert isinstance(page, SettlementPage)
    [it] = page.settlements
    assert (it.gateway_settlement_id, it.status, it.utr) == ("setl_1", SettlementStatus.SETTLED, "1568176960vxp0rj")
    assert (it.gross, it.net) == (Money(100_000 - 5_000 - 1_712), Money(91_400))
    assert (it.fee, it.fee_tax, it.adjustment) == (Money(2_458), Money(442), Money(-1_012))
    assert it.gross == it.net + it.fee + it.fee_tax + it.adjustment
    assert (page.next_cursor, page.unreadable) == ("", 0)
    # Midnight in India.
    assert client.paths("read_settlements") == ["/v1/settlements?from=1767205800&to=1767378599&count=100&skip=0"]
    assert client.paths("read_settlement_rows") == [
        "/v1/settlements/recon/combined?year=2026&month=01&day=01&count=1000&skip=0"
    ]


async def test_the_rows_of_a_settlement_are_those_of_its_day_that_name_it() -> None:
    client = Scripted({"read_settlement": (200, settlement()), "read_settlement_rows": items(*ROWS, {"type": 7})})
    page = await gateway(client).read_settlement_rows("setl_1", "", 1)
    assert isinstance(page, SettlementRowPage)
    shown = [(each.row_id, each.kind, each.order_id, each.reference, each.amount.minor) for each in page.rows]
    assert shown == [
        ("payment:pay_1", RowKind.PAYMENT, "ord_1", "", 100_000),
        ("refund:rfnd_1", RowKind.REFUND, "ord_1", "rfd_1", -5_000),
        ("adjustment:adj_1", RowKind.ADJUSTMENT, "", "", 1_012),
        ("adjustment:adj_2", RowKind.DISPUTE, "ord_1", "disp_1", -1_712),
    ]
    assert {each.gateway_payment_id for each in page.rows if each.kind is not RowKind.ADJUSTMENT} == {"pay_1"}
    for each in page.rows:
        assert each.amount == each.net + each.fee + each.fee_tax
    assert sum(each.net.minor for each in page.rows) == 91_400
    assert (page.next_cursor, page.unreadable) == ("", 1)


async def test_a_long_day_is_read_page_by_page() -> None:
    pages: dict[str, Sequence[Any]] = {
        "0": [row(entity_id=f"pay_{n}") for n in range(1_000)],
        "1000": [row(entity_id="pay_last")],
    }
    client = Scripted(
        {
            "read_settlement": (200, settlement()),
            "read_settlements": items(settlement(amount=97_100 * 1_001)),
            "read_settlement_rows": lambda call: items(*pages[call.path.rpartition("=")[2]]),
        }
    )
    first = await gateway(client).read_settlement_rows("setl_1", "", 1)
    assert isinstance(first, SettlementRowPage)
    assert (len(first.rows), first.next_cursor) == (1_000, "2026-01-01:1000")
    last = await gateway(client).read_settlement_rows("setl_1", first.next_cursor, 1)
    assert isinstance(last, SettlementRowPage)
    assert ([each.row_id for each in last.rows], last.next_cursor) == (["payment:pay_last"], "")
    page = await gateway(client).read_settlements(WINDOW, "", 1)
    assert isinstance(page, SettlementPage)
    assert page.settlements[0].gross == Money(100_000 * 1_001)
    assert page.settlements[0].adjustment == Money(0)


@pytest.mark.parametrize(
    ("fields", "rows", "readable"),
    [
        ({"status": "created"}, [], True),
        ({"status": "failed"}, [], True),
        # Paid out, and the report does not say of what (yet): not booked as if it came from nowhere.
        ({}, [], False),
        ({"amount": 0}, [], True),
        ({"created_at": None}, ROWS, False),
        ({"amount": "?"}, ROWS, False),
        ({"id": 7}, ROWS, False),
    ],
)
async def test_a_settlement_that_cannot_be_explained_is_counted(
    fields: dict[str, Any], rows: list[Any], readable: bool
) -> None:
    client = Scripted({"read_settlements": items(settlement(**fields)), "read_settlement_rows": items(*rows)})
    page = await gateway(client).read_settlements(WINDOW, "", 1)
    assert isinstance(page, SettlementPage)
    assert (len(page.settlements), page.unreadable) == ((1, 0) if readable else (0, 1))


async def test_a_full_page_of_settlements_has_a_next_one() -> None:
    full = items(*[settlement(id=f"setl_{n}", status="created") for n in range(100)])
    client = Scripted({"read_settlements": full, "read_settlement_rows": items()})
    page = await gateway(client).read_settlements(WINDOW, "200", 1)
    assert isinstance(page, SettlementPage)
    assert page.next_cursor == "300"
    # One report for all settlements of a day.
    assert len(client.paths("read_settlement_rows")) == 1


@pytest.mark.parametrize("lost", ["read_settlements", "read_settlement_rows"])
async def test_settlements_without_an_answer_are_unknown(lost: str) -> None:
    answers: dict[str, Any] = {"read_settlements": items(settlement()), "read_settlement_rows": items(*ROWS)}
    client = Scripted({**answers, lost: (500, {})})
    assert await gateway(client).read_settlements(WINDOW, "", 1) == Unknown("http_500")


@pytest.mark.parametrize("answer", [(500, {}), (200, {}), (200, settlement(id="setl_2")), (400, problem("no"))])
async def test_rows_without_their_settlement_are_unknown(answer: Answer) -> None:
    client = Scripted({"read_settlement": answer, "read_settlement_rows": items(*ROWS)})
    assert isinstance(await gateway(client).read_settlement_rows("setl_1", "", 1), Unknown)


@pytest.mark.parametrize(
    ("fields", "reference"),
    [
        ({"notes": '{"refund_id": "rfd_1"}'}, "rfd_1"),
        ({"notes": {"refund_id": "rfd_1"}}, "rfd_1"),
        ({"notes": "made in the dashboard"}, "rfnd_1"),
        ({"notes": None}, "rfnd_1"),
        ({"notes": "[" * 100_000}, "rfnd_1"),
    ],
)
def test_a_refunds_row_names_ours_where_it_can(fields: dict[str, Any], reference: str) -> None:
    body = json.dumps(items(row(**{**ROWS[1], **fields}))[1]).encode()  # type: ignore[index]
    rows = settlements.parse_get_report(200, body)
    assert not isinstance(rows, Unknown)
    assert [each and each.reference for each in rows] == [reference]
