"""The plan, the arrangement, the verdict and the tables, from storms that a test made up."""

import base64
import hmac
import io
import random
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console

from loadtests.processes import Snapshot
from loadtests.report import markdown_sheets, show_sheets
from loadtests.webhooks import bench, config, payloads, report, verification
from loadtests.webhooks.config import Plan
from loadtests.webhooks.open_loop_sender import Outcome

SECRET = "a secret of the stack"
BODY = '{"data":{"order":{"order_id":"%s"}},"event_time":"2026-01-01T10:00:00+05:30","type":"PAYMENT_FAILED_WEBHOOK"}'


def arranged(plan: Plan) -> payloads.Storm:
    storm = payloads.Storm(order_ids=[f"ord_{number}" for number in range(plan.orders)])
    sent = [
        (part / plan.attempts, payloads.SentWebhook(0, order_id, {"x-webhook-version": "1"}, BODY % order_id))
        for part in range(plan.attempts)
        for order_id in storm.order_ids
    ]
    hidden = [payloads.SentWebhook(0, f"hidden-{number}", {}, BODY % "s") for number in range(plan.hidden_orders)]
    description = {"edge_url": "http://127.0.0.1:18000", "cashfree": {"secret_key": SECRET}}
    payloads.arrange(storm, plan, sent, hidden, description)
    return storm


def test_a_storm_holds_every_event_and_its_share_of_repeats() -> None:
    plan = Plan(seconds=10, rate=200)
    storm = arranged(plan)
    assert len(storm.requests) == plan.deliveries == 2_000
    events = plan.orders * plan.attempts + plan.hidden_orders
    assert storm.distinct == events
    repeats = plan.deliveries - events
    assert 0.15 * plan.deliveries < repeats < 0.30 * plan.deliveries
    # Hidden orders come first: the fleet must meet their webhooks before the gateway shows them.
    assert set(storm.events[: plan.hidden_orders]) == set(range(events - plan.hidden_orders, events))


def test_repeats_are_signed_afresh_over_what_they_carry() -> None:
    storm = arranged(Plan(seconds=5, rate=100))
    seen: set[int] = set()
    bodies: dict[int, set[bytes]] = {}
    for event, request in zip(storm.events, storm.requests, strict=True):
        head, body = request.split(b"\r\n\r\n", 1)
        bodies.setdefault(event, set()).add(body)
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        if "x-webhook-signature" in headers:
            signed = headers["x-webhook-timestamp"].encode() + body
            expected = base64.b64encode(hmac.digest(SECRET.encode(), signed, "sha256")).decode()
            assert headers["x-webhook-signature"] == expected
            seen.add(event)
    assert seen, "a storm without repeats"
    assert any(len(each) > 1 for each in bodies.values()), "no event came in two renderings"


@pytest.mark.parametrize(("seconds", "rate"), [(0, 10), (10, 0), (601, 10), (600, 5_000)])
def test_a_plan_is_bounded(seconds: int, rate: int) -> None:
    with pytest.raises(ValueError, match=r"must be|more than"):
        Plan(seconds, rate)


def proven(**changes: Any) -> dict[str, Any]:
    return {
        "deliveries": 10,
        "answered_200": 10,
        "answered_duplicate": 2,
        "events_sent": 8,
        "ids_answered": 8,
        "ids_stored": 8,
        "ids_with_keys": 8,
        "ids_processed": 8,
        "stands": {"SUCCESS": 8},
        "events_under_two_ids": 0,
        "waited_for_their_order": 1,
        "orders": 3,
        "orders_paid_and_granted": 3,
        "worked_off_at": [101.0, 103.0],
        **changes,
    }


def test_nothing_is_lost_when_every_figure_agrees() -> None:
    assert verification.losses(proven()) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ids_stored": 7, "ids_with_keys": 7}, "1 ids answered 200 and not stored"),
        ({"ids_with_keys": 7}, "1 ids stored without their keys"),
        ({"ids_processed": 7}, "1 ids answered 200 and never processed"),
        ({"stands": {"SUCCESS": 7, "RECEIVED": 1}}, "1 ids whose status is not SUCCESS"),
        ({"events_sent": 9}, "1 events sent and not stored"),
        ({"answered_200": 9}, "1 deliveries never answered 200"),
        ({"events_under_two_ids": 1}, "1 events stored under two ids"),
        ({"orders_paid_and_granted": 2}, "1 orders that are not paid and granted"),
    ],
)
def test_each_loss_is_named(changes: dict[str, Any], says: str) -> None:
    assert verification.losses(proven(**changes)) == [says]


def test_an_event_under_two_ids_was_stored_twice() -> None:
    one, two = UUID(int=1), UUID(int=2)
    assert verification.under_two_ids([0, 0, 1], {0: one, 1: one, 2: two}) == 0
    assert verification.under_two_ids([0, 0, 1], {0: one, 1: two, 2: two}) == 1


def outcome() -> Outcome:
    dice = random.Random(1)
    return Outcome(
        started_at=100.0,
        ended_at=102.0,
        accepted_at=[100.5, 101.0, 101.5],
        accept_seconds=[dice.random() / 10 for _ in range(3)],
        shed_at=[100.7],
        shed_seconds=[0.01],
        left=[3],
        redelivered_at=[103.0, 104.0],
    )


def found(**changes: Any) -> dict[str, Any]:
    plan = Plan(seconds=2, rate=100)
    cpu = [Snapshot({"edge": at, "webhook-ingest": 2 * at}, 4 * at) for at in (1.0, 2.0, 5.0)]
    return {
        "measured_at": "2026-01-01T00:00:00+00:00",
        "rig": {"cores": 2, "cpu": "a CPU", "memory_gib": 4, "system": "Debian", "python": "3.11"},
        "plan": {
            "seconds": plan.seconds,
            "offered_per_s": plan.rate,
            "deliveries": plan.deliveries,
            "repeats_percent": config.REPEATS_PERCENT,
            "orders": plan.orders,
            "attempts_of_each": plan.attempts,
            "hidden_orders": plan.hidden_orders,
            "connections": config.CONNECTIONS,
        },
        **bench.result(outcome(), proven(**changes), [], quiet_at=110.0),
        **bench.costs(cpu, outcome(), deliveries=10),
        "inside_ms": {"p50": 1.0, "p95": 2.0, "p99": 3.0},
        "items_per_flush": 20.0,
        "events_per_batch": {"webhook.processing": 100.0, "webhook.status": 90.0},
        "wal_bytes_per_webhook": 5_000.0,
        "disk_bytes_per_webhook": 4_000.0,
        "rss_peak_bytes": {"edge": 2**20},
    }


def test_rates_are_those_of_the_storm_and_times_run_from_its_start() -> None:
    result = found()
    assert result["accepted_per_s"] == 1.5
    assert (result["all_accepted_after_s"], result["all_processed_after_s"], result["drained_after_s"]) == (
        4.0,
        3.0,
        8.0,
    )
    assert result["processed_during"] == 1
    assert result["cpu_ms_per_accepted"] == pytest.approx({"webhook-ingest": 2000 / 3, "edge": 1000 / 3})
    assert result["cpu_ms_per_webhook"] == pytest.approx({"webhook-ingest": 800.0, "edge": 400.0})
    assert result["problems"] == []
    assert found(ids_processed=7)["problems"] == ["lost: 1 ids answered 200 and never processed"]


def test_the_tables_show_what_was_found() -> None:
    result, screen = found(), io.StringIO()
    show_sheets(report.sheets(result), ["something"], Console(file=screen, width=200))
    text = "\n\n".join([report.introduction(result), *markdown_sheets(report.sheets(result), result["problems"])])
    for shown in (screen.getvalue(), text):
        assert "webhooks stored and answered 200 a second" in shown
        assert "webhook-ingest" in shown
    assert "FAILED  something" in screen.getvalue()
