"""Merchants on the fleet: made by the operator's command, joined by mail, used with a token of their own, suspended."""

import asyncio
import json
from collections.abc import Sequence

from ops import journey
from ops.fleet_client import FleetClient

from .test_journey import run_command


async def test_an_operator_makes_a_merchant_and_ends_its_access(fleet: FleetClient, commdesk: Sequence[str]) -> None:
    owner = await journey.sign_up(fleet)
    code, output = await run_command(commdesk, "merchant", "create", "Nandi Foods", "--owner", owner.email, "--json")
    assert code == 0, output
    [account] = json.loads(output)
    live = next(each["merchantId"] for each in account["merchants"] if each["environment"] == "live")
    switched = await fleet.edge("POST", "/api/v1/users/switch", {"merchantId": live}, token=owner.token)
    assert (switched.status, switched.data["merchantId"]) == (200, live)
    token = switched.data["token"]
    # The books of another service are the merchant's own: none of CommDesk's journals are in them.
    journals = await fleet.edge("GET", "/api/v1/ledger/journals", token=token)
    assert (journals.status, journals.data["items"]) == (200, [])
    runs = await fleet.edge("GET", "/api/v1/reconciliation/runs", token=token)
    assert (runs.status, runs.body["error"]["code"]) == (403, "role_missing")
    code, output = await run_command(commdesk, "merchant", "show", live, "--json")
    assert (code, json.loads(output)["members"][0]["userId"]) == (0, owner.user_id), output
    for act, status in (("suspend", "SUSPENDED"), ("resume", "ACTIVE")):
        code, output = await run_command(commdesk, "merchant", act, live, "--reason", "asked to", "--json")
        assert (code, json.loads(output)[0]["status"]) == (0, status), output
    # Announced in milliseconds, polled for within five seconds.
    await asyncio.sleep(5)
    refused = await fleet.edge("GET", "/api/v1/ledger/journals", token=token)
    assert (refused.status, refused.body["error"]["code"]) == (401, "token_revoked")
