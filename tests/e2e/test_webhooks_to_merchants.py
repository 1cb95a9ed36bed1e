"""A merchant's server on the whole fleet: an endpoint made with an API key, signed events, a failure sent again."""

import hmac
import json
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from typing import Any

import pytest
import pytest_asyncio
import standardwebhooks
from aiohttp import web

from common.testing import free_port
from ops import journey
from ops.fleet_client import FleetClient

from .test_journey import run_command


class Shop:
    """The merchant's server; *status* is its next answer."""

    def __init__(self) -> None:
        self.port, self.status = free_port(), 200
        self.got: list[tuple[dict[str, str], bytes]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status)

    def of(self, payment_id: str) -> list[str]:
        events = [json.loads(body) for _, body in self.got]
        return [each["event"] for each in events if each["data"].get("payment", {}).get("id") == payment_id]


@pytest_asyncio.fixture
async def shop() -> AsyncIterator[Shop]:
    made, app = Shop(), web.Application()
    app.router.add_post("/hooks", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", made.port).start()
    yield made
    await runner.cleanup()


@pytest.mark.timeout(180)
async def test_a_merchants_server_learns_of_a_payment(fleet: FleetClient, commdesk: Sequence[str], shop: Shop) -> None:
    code, output = await run_command(commdesk, "key", "create", "mer_commdesk", "--name", "Shop", "--json")
    assert code == 0, output
    key = {"Authorization": f"Bearer {json.loads(output)['key']}"}
    body = {"url": f"http://127.0.0.1:{shop.port}/hooks", "events": ["payment.*"]}
    made = await fleet.edge("POST", "/api/v1/webhook-endpoints", body, headers=key)
    assert made.status == 201, made
    endpoint = f"/api/v1/webhook-endpoints/{made.data['id']}"
    try:
        member = await journey.sign_up(fleet)
        created = await journey.create(fleet, member, pack_id="pack_500")
        payment_id = created["paymentId"]
        await journey.pay(fleet, created["orderId"])
        await journey.until_success(fleet, member, payment_id)

        async def told() -> Any:
            return "payment.success" in shop.of(payment_id) or None

        await journey.until(told, "the webhook about the success", 30)
        assert shop.of(payment_id)[0] == "payment.created"
        for headers, raw in shop.got:
            assert headers["X-Webhook-Signature"] == hmac.new(made.data["secret"].encode(), raw, sha256).hexdigest()
            standardwebhooks.Webhook(made.data["secret"]).verify(raw, headers)

        # A server that fails is tried again by hand, the same event under the same id.
        shop.status = 500
        assert (await fleet.edge("POST", f"{endpoint}/test", headers=key)).status == 202

        async def failed() -> Any:
            listed = await fleet.edge("GET", "/api/v1/webhooks?event=webhook.test", headers=key)
            return next((each for each in listed.data["items"] if each["attempts"] >= 1), None)

        webhook = await journey.until(failed, "the attempt that failed", 30)
        shop.status = 200

        async def delivered() -> Any:
            shown = await fleet.edge("GET", f"/api/v1/webhooks/{webhook['id']}", headers=key)
            return shown.data if shown.data["status"] == "SUCCESS" else None

        shown = await journey.until(delivered, "the webhook after its server was repaired", 60)
        assert shown["log"][0]["statusCode"] == 500
        again = await fleet.edge("POST", f"/api/v1/webhooks/{webhook['id']}/retry", headers=key)
        assert again.status == 202, again
        sent = [headers["webhook-id"] for headers, raw in shop.got if json.loads(raw)["event"] == "webhook.test"]
        assert len(sent) >= 2
        assert len(set(sent)) == 1
    finally:
        assert (await fleet.edge("DELETE", endpoint, headers=key)).status == 200
