"""Second captures on the whole fleet: given back through the gateway by a person's decision, out of the books."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from ops import journey
from ops.fleet_client import FleetClient
from ops.virtual_users import create_with_retries, members, pay_order

from .test_journey import run_command


@pytest.mark.timeout(180)
async def test_a_second_capture_goes_back_through_the_gateway(fleet: FleetClient, commdesk: Sequence[str]) -> None:
    [member] = members(fleet, 1)
    created = (await create_with_retries(fleet, member, "second-capture-back")).data
    payment_id, order = created["paymentId"], f"/control/orders/{created['orderId']}"
    await pay_order(fleet, created["orderId"])
    await journey.until_success(fleet, member, payment_id)
    assert (await fleet.sandbox("POST", f"{order}/pay", {"outcome": "success", "force": True})).status == 200

    async def receipt() -> Any:
        code, output = await run_command(commdesk, "review", "list", "--kind", "duplicate", "--json")
        assert code == 0, output
        reviews = json.loads(output)["reviews"]
        return next((each["receipts"][0] for each in reviews if each["payment"]["payment_id"] == payment_id), None)

    waiting = await journey.until(receipt, "the second capture in the review queue", 40)
    assert int(waiting["refund_due_unix_micros"]) > 0, "the policy gives it back a day later"
    code, output = await run_command(commdesk, "review", "refund", payment_id, "--reason", "captured twice")
    assert code == 0, output

    async def gone() -> Any:
        return await receipt() is None or None

    await journey.until(gone, "the receipt given back by the gateway", 60)

    async def told() -> Any:
        _, output = await run_command(commdesk, "show", payment_id, "--json")
        entries = json.loads(output)["entries"]
        story = [each["summary"] for each in entries if each["service"] == "payment" and each["kind"] == "refund"]
        booked = [each for each in entries if "payment.receipt.refunded" in json.dumps(each)]
        return story if booked and len(story) == 2 else None

    begun, ended = await journey.until(told, "the refund in the payment's story and in the books", 40)
    assert begun.startswith("refund of a receipt over") and ended.endswith("PROCESSING → SUCCESS (success)")
    # The payment itself is untouched, and no other money went back.
    await journey.until_success(fleet, member, payment_id)
    code, output = await run_command(commdesk, "ledger", "trial-balance", "--json")
    assert code == 0, output
