"""Two gateways: new payments pass over one that cannot make orders; none is made twice, and what is unknown waits."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from ops import journey
from ops.fleet_client import Answer, FleetClient
from ops.virtual_users import create_with_retries, fault, members, pay_order

from .test_journey import run_command

CREATE = "/api/v1/payments/create"
# More than opens the circuits of all replicas.
UNKNOWN = 16
# Of those that follow, how many at most until three are made, and until one is back.
NEW, BACK = 40, 20


async def orders(fleet: FleetClient) -> int:
    """How many orders both gateways have."""
    stats = [await fleet.sandbox("GET", path) for path in ("/control/stats", "/razorpay/control/stats")]
    return sum(int(answer.data["orders"]) for answer in stats)


async def test_while_a_gateway_fails_new_payments_go_to_the_other_and_back_afterwards(
    fleet: FleetClient, commdesk: Sequence[str]
) -> None:
    # Fraud's limits are for each: nobody pays often.
    people = iter(members(fleet, UNKNOWN + NEW + BACK))
    payers: dict[str, journey.Member] = {}
    orders_before = await orders(fleet)

    async def create(key: str) -> Answer:
        member = payers[key] = next(people)
        headers = {"Idempotency-Key": key}
        return await fleet.edge("POST", CREATE, {"packId": "pack_500"}, token=member.token, headers=headers)

    rule = await fault(fleet, action="error", operation="create_order", status=503)
    first = await asyncio.gather(*(create(f"failover-{number}") for number in range(UNKNOWN)))
    # As long as circuits are closed the answer is unknown; then payments go to the other gateway.
    waiting = {f"failover-{number}" for number, answer in enumerate(first) if answer.status == 202}
    assert waiting
    elsewhere: list[dict[str, Any]] = []
    for number in range(NEW):
        answer = await create(f"failover-new-{number}")
        if answer.status == 202:
            waiting.add(f"failover-new-{number}")
            continue
        assert answer.status == 201, answer.body
        elsewhere.append(answer.data)
        if len(elsewhere) == 3:
            break
    assert {each["gateway"] for each in elsewhere} == {"razorpay"}
    code, output = await run_command(commdesk, "route", "explain", elsewhere[0]["paymentId"], "--json")
    assert code == 0, output
    [decision] = json.loads(output)["decisions"]
    assert decision["gatewayAccountId"] == "gwa_razorpay"
    assert decision["others"] == {"gwa_cashfree": "calls_fail"}
    code, output = await run_command(commdesk, "show", elsewhere[0]["paymentId"])
    assert "routed to gwa_razorpay" in output, output
    # What is unknown waits for its gateway.
    await fleet.sandbox("DELETE", f"/control/faults/{rule}")
    recovered = [await create_with_retries(fleet, payers[key], key) for key in sorted(waiting)]
    assert {answer.status for answer in recovered} == {201}
    assert {answer.data["gateway"] for answer in recovered} == {"cashfree"}
    made = len({answer.data["paymentId"] for answer in [*recovered, *first] if answer.status == 201}) + len(elsewhere)
    assert await orders(fleet) == orders_before + made

    async def back() -> dict[str, Any] | None:
        key = f"failover-back-{len(payers)}"
        payers[key] = next(people)
        created = (await create_with_retries(fleet, payers[key], key)).data
        return created | {"key": key} if created["gateway"] == "cashfree" else None

    created = await journey.until(back, "a payment at the gateway that works again")
    await pay_order(fleet, created["orderId"])
    await journey.until_success(fleet, payers[created["key"]], created["paymentId"])
