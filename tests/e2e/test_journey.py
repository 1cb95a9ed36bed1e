"""The demo's claims, an operator's tools, and dead letters from the edge to their replay."""

import asyncio
import json
import subprocess
import time
from collections.abc import Sequence
from typing import Any

import pytest

from ops import demo, journey
from ops.fleet_client import FleetClient
from ops.ports import Layout
from ops.virtual_users import create_with_retries, fault, make_order_of_others, members, pay_order


async def run_command(commdesk: Sequence[str], *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *commdesk, *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_one_payment_through_the_whole_fleet_with_its_proof(fleet: FleetClient, layout: Layout) -> None:
    facts = await demo.run(fleet, layout)
    assert json.loads((layout.run_dir / "demo.json").read_text()) == facts
    assert facts["credits_granted"]["paid"] == 5000
    assert facts["credits_granted"]["bonus"] == 500
    by_template = {journal["template"]: journal["entries"] for journal in facts["journals_posted"]["journals"]}
    assert sorted(map(tuple, next(entries for entries in by_template.values() if len(entries) == 4))) == sorted(
        [
            (f"asset:gateway:{fleet.gateway}", 50000, 0),
            ("liability:deferred_credits", 0, 42374),
            ("liability:gst:cgst", 0, 3813),
            ("liability:gst:sgst", 0, 3813),
        ]
    )
    assert facts["credits_consumed"]["balance_after"] == 4950


async def test_the_operators_tools_show_the_timeline_and_the_books(fleet: FleetClient, commdesk: Sequence[str]) -> None:
    [member] = members(fleet, 1)
    created = (await create_with_retries(fleet, member, "timeline-1")).data
    await pay_order(fleet, created["orderId"])
    await journey.until_success(fleet, member, created["paymentId"])

    async def mailed() -> Any:
        return await fleet.mails(to=member.email) or None

    await journey.until(mailed, "the mail")
    code, output = await run_command(commdesk, "show", created["paymentId"], "--json")
    assert code == 0, output
    timeline = json.loads(output)
    kinds = {(entry["service"], entry["kind"]) for entry in timeline["entries"]}
    for expected in [("payment", "transition"), ("payment", "gateway_call"), ("webhook-ingest", "webhook")]:
        assert expected in kinds
    assert {"wallet", "ledger", "notifier"} <= {service for service, _ in kinds}
    assert timeline["silent"] == []
    assert member.email not in output, "a timeline carries no personal data"

    code, output = await run_command(commdesk, "ledger", "trial-balance", "--json")
    assert code == 0, output
    assert set(json.loads(output)["differences"].values()) == {0}

    code, output = await run_command(commdesk, "doctor", "--json")
    assert code == 0, output
    assert all(finding["ok"] for finding in json.loads(output))

    code, output = await run_command(commdesk, "status", "--json")
    assert code == 0, output


async def test_a_second_capture_waits_in_the_review_queue_until_it_is_given_back(
    fleet: FleetClient, commdesk: Sequence[str]
) -> None:
    [member] = members(fleet, 1)
    created = (await create_with_retries(fleet, member, "second-capture")).data
    payment_id = created["paymentId"]
    await pay_order(fleet, created["orderId"])
    await journey.until_success(fleet, member, payment_id)
    path = f"/control/orders/{created['orderId']}/pay"
    assert (await fleet.sandbox("POST", path, {"outcome": "success", "force": True})).status == 200

    async def queued() -> Any:
        code, output = await run_command(commdesk, "review", "list", "--kind", "duplicate", "--json")
        assert code == 0, output
        return [each for each in json.loads(output)["reviews"] if each["payment"]["payment_id"] == payment_id] or None

    [review] = await journey.until(queued, "the second capture in the review queue", 40)
    [receipt] = review["receipts"]
    code, output = await run_command(commdesk, "review", "show", payment_id)
    assert code == 0, output
    assert receipt["receipt_id"] in output
    code, output = await run_command(commdesk, "review", "dismiss", payment_id, "--reason", "nothing there")
    assert code == 1, output
    assert "review_action_invalid" in output
    arguments = ("--refund", f"refund-{payment_id}", "--reason", "given back in the dashboard")
    code, output = await run_command(commdesk, "review", "refunded", payment_id, *arguments)
    assert code == 0, output
    assert "nothing is left to decide" in output
    assert await queued() is None

    async def given_back() -> Any:
        _, output = await run_command(commdesk, "ledger", "trial-balance", "--json")
        rows = {each["account"]: each for each in json.loads(output)["accounts"]}
        account = rows.get("liability:unapplied_receipts", {})
        # Other tests leave receipts that nobody decides about: what was debited is what went back.
        return int(account.get("debit", 0)) >= created["amount"] or None

    await journey.until(given_back, "the receipt out of the books", 40)


@pytest.mark.timeout(120)
async def test_a_webhook_that_cannot_be_confirmed_waits_dies_and_is_healed_by_a_replay(
    fleet: FleetClient, commdesk: Sequence[str]
) -> None:
    [member] = members(fleet, 1)
    created = (await create_with_retries(fleet, member, "unconfirmed-1")).data
    rule = await fault(fleet, action="error", operation="get_order", order_id=created["orderId"], status=500)
    await pay_order(fleet, created["orderId"])
    letters = await _dead_letters(fleet, commdesk, "order_state_unknown")
    await fleet.sandbox("DELETE", f"/control/faults/{rule}")
    for letter in letters:
        code, output = await run_command(
            commdesk, "dlq", "replay", letter["id"], "--reason", "the gateway answers again"
        )
        assert code == 0, output
    await journey.until_success(fleet, member, created["paymentId"])
    code, output = await run_command(commdesk, "dlq", "list", "--json")
    assert json.loads(output) == []


@pytest.mark.timeout(120)
async def test_an_order_that_somebody_else_made_in_our_account_is_nobodys(
    fleet: FleetClient, commdesk: Sequence[str]
) -> None:
    """Its webhook dies, with its reason; a payment under its id is refused, whatever its amount."""
    [member] = members(fleet, 1)
    order_id = f"stranger_{time.time_ns():x}"
    await make_order_of_others(fleet, order_id)
    await pay_order(fleet, order_id)
    letters = await _dead_letters(fleet, commdesk, "order_not_known_yet")
    body = {"packId": "pack_500", "orderId": order_id}
    answer = await fleet.edge("POST", "/api/v1/payments/create", body, token=member.token)
    assert (answer.status, answer.data["code"]) == (409, "gateway_refused"), answer.body
    for letter in letters:
        code, output = await run_command(commdesk, "dlq", "discard", letter["id"], "--reason", "somebody else's order")
        assert code == 0, output


async def test_a_success_without_its_webhook_is_found_by_verify(fleet: FleetClient) -> None:
    [member] = members(fleet, 1)
    await fault(fleet, action="drop", operation="webhook")
    created = (await create_with_retries(fleet, member, "unnoticed-1")).data
    await pay_order(fleet, created["orderId"])
    await fleet.sandbox("DELETE", "/control/faults")
    verified = await fleet.edge(
        "POST", "/api/v1/payments/verify", {"paymentId": created["paymentId"]}, token=member.token
    )
    assert verified.status == 200, verified.body
    await journey.until_success(fleet, member, created["paymentId"])


# How many webhooks each gateway sends of a success: Razorpay tells of the authorisation, the capture and the order.
WEBHOOKS_OF_SUCCESS = {"cashfree": 1, "razorpay": 3}


async def _dead_letters(fleet: FleetClient, commdesk: Sequence[str], error_code: str) -> list[dict[str, Any]]:
    """The dead letters of one success, after every tier of the retry schedule."""

    async def dead() -> Any:
        code, output = await run_command(commdesk, "dlq", "list", "--json")
        assert code == 0, output
        letters = json.loads(output)
        return letters if len(letters) >= WEBHOOKS_OF_SUCCESS[fleet.gateway] else None

    letters: list[dict[str, Any]] = await journey.until(dead, "the dead letters", 30)
    assert len(letters) == WEBHOOKS_OF_SUCCESS[fleet.gateway]
    for letter in letters:
        assert letter["queue"] == "webhook.processing"
        assert letter["error_code"] == error_code
        assert letter["attempts"] == 5
    return letters
