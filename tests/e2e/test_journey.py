"""The demo's claims, an operator's tools, and dead letters from the edge to their replay."""

import asyncio
import json
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

from ops import demo, journey
from ops.fleet_client import FleetClient
from ops.ports import Layout
from ops.virtual_users import create_with_retries, fault, members, pay_order


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
            ("asset:gateway:cashfree", 50000, 0),
            ("liability:deferred_credits", 0, 42373),
            ("liability:gst:cgst", 0, 3814),
            ("liability:gst:sgst", 0, 3813),
        ]
    )
    assert facts["credits_consumed"]["balance_after"] == 4950


async def test_the_operators_tools_tell_the_story_and_the_books(fleet: FleetClient, commdesk: Sequence[str]) -> None:
    [member] = members(fleet, 1)
    created = (await create_with_retries(fleet, member, "story-1")).data
    await pay_order(fleet, created["orderId"])
    await journey.until_success(fleet, member, created["paymentId"])

    async def mailed() -> Any:
        return await fleet.mails(to=member.email) or None

    await journey.until(mailed, "the mail")
    code, output = await run_command(commdesk, "show", created["paymentId"], "--json")
    assert code == 0, output
    told = json.loads(output)
    kinds = {(entry["service"], entry["kind"]) for entry in told["entries"]}
    for expected in [("payment", "transition"), ("payment", "gateway_call"), ("webhook-ingest", "webhook")]:
        assert expected in kinds
    assert {"wallet", "ledger", "notifier"} <= {service for service, _ in kinds}
    assert told["silent"] == []
    assert member.email not in output, "a story carries no personal data"

    code, output = await run_command(commdesk, "ledger", "trial-balance", "--json")
    assert code == 0, output
    assert set(json.loads(output)["differences"].values()) == {0}

    code, output = await run_command(commdesk, "doctor", "--json")
    assert code == 0, output
    assert all(finding["ok"] for finding in json.loads(output))

    code, output = await run_command(commdesk, "status", "--json")
    assert code == 0, output


@pytest.mark.timeout(120)
async def test_a_webhook_for_an_order_that_nobody_knows_waits_dies_and_is_healed_by_a_replay(
    fleet: FleetClient, commdesk: Sequence[str]
) -> None:
    [member] = members(fleet, 1)
    await fault(fleet, action="drop", operation="webhook")
    created = (await create_with_retries(fleet, member, "stranger-1")).data
    await pay_order(fleet, created["orderId"])

    async def sent() -> Any:
        found = (await fleet.sandbox("GET", f"/control/webhooks?order_id={created['orderId']}")).data["webhooks"]
        return found or None

    await fleet.sandbox("DELETE", "/control/faults")
    # A signed webhook about somebody else's order: it climbs the ladder and dies, with its reason.
    stranger = f"stranger_{created['orderId'][-8:]}"
    await _order_at_the_gateway_only(fleet, stranger)
    await pay_order(fleet, stranger)

    async def dead() -> Any:
        code, output = await run_command(commdesk, "dlq", "list", "--json")
        assert code == 0, output
        return json.loads(output) or None

    [letter] = await journey.until(dead, "the dead letter", 30)
    assert letter["queue"] == "webhook.processing"
    assert letter["error_code"] == "order_unknown"
    assert letter["attempts"] == 5

    # The order becomes ours under the caller's own reference; the replay now finds it.
    answer = await create_with_retries(fleet, member, "stranger-2", orderId=stranger)
    assert answer.status == 201, answer.body
    code, output = await run_command(commdesk, "dlq", "replay", letter["id"], "--reason", "the order is known now")
    assert code == 0, output
    await journey.until_success(fleet, member, answer.data["paymentId"])
    code, output = await run_command(commdesk, "dlq", "list", "--json")
    assert json.loads(output) == []
    # What was dropped is found by asking the gateway, with no webhook at all.
    verified = await fleet.edge(
        "POST", "/api/v1/payments/verify", {"paymentId": created["paymentId"]}, token=member.token
    )
    assert verified.status == 200, verified.body
    await journey.until_success(fleet, member, created["paymentId"])


async def _order_at_the_gateway_only(fleet: FleetClient, order_id: str) -> None:
    """An order of our account that our fleet did not make."""
    import aiohttp

    known = fleet.description["cashfree"]
    headers = {
        "x-client-id": known["app_id"],
        "x-client-secret": known["secret_key"],
        "x-api-version": known["api_version"],
    }
    body = {
        "order_id": order_id,
        "order_amount": 500.00,
        "order_currency": "INR",
        "customer_details": {"customer_id": "stranger", "customer_phone": "9876543210"},
        "order_meta": {"notify_url": fleet.description["edge_url"] + "/api/v1/webhooks/cashfree"},
    }
    async with aiohttp.ClientSession() as http:
        url = fleet.description["sandbox_url"] + "/pg/orders"
        async with http.post(url, json=body, headers=headers) as response:
            assert response.status == 200, await response.text()
