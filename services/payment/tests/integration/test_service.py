"""The whole process: endpoints, consumers, relay and workers over the real broker, and an orderly end."""

import time
from typing import Any

import httpx
import jwt
import pytest

from commdesk.webhook_ingest.v1.events_pb2 import WebhookReceived
from common import ids
from common.database import Database
from common.testing import Announce, RunningService, until

from .world import WebhookReceiver


@pytest.fixture
def own_settings(sandbox_url: str, sandbox_account: tuple[str, str], hooks: WebhookReceiver) -> dict[str, str]:
    app_id, secret = sandbox_account
    return {
        "CASHFREE_BASE_URL": f"{sandbox_url}/pg",
        "CASHFREE_APP_ID": app_id,
        "CASHFREE_SECRET_KEY": secret,
        "CASHFREE_NOTIFY_URL": hooks.url,
        "WALLET_ADDRESS": "127.0.0.1:1",
        "FRAUD_ADDRESS": "127.0.0.1:1",
    }


async def test_a_payment_from_create_to_invoice_through_the_broker(
    running_service: RunningService,
    announce: Announce,
    db: Database,
    settings_env: dict[str, str],
    sandbox_url: str,
    hooks: WebhookReceiver,
) -> None:
    now = int(time.time())
    claims = {"iss": "commdesk-identity", "aud": "commdesk", "sub": "usr_asha", "iat": now, "exp": now + 600}
    token = jwt.encode(claims, settings_env["JWT_SECRET"], "HS256")
    http = running_service.http
    http.headers["authorization"] = f"Bearer {token}"
    # Wallet and fraud are away: packs cannot be bought, amounts can.
    response = await http.post("/api/v1/payments", json={"packId": "pack_500"})
    assert (response.status_code, response.json()["error"]["code"]) == (503, "packs_unavailable")
    body = {"amount": 50_000, "customerEmail": "asha@example.in", "customerPhone": "9876543210"}
    data = (await http.post("/api/v1/payments", json=body)).json()["data"]
    async with httpx.AsyncClient(base_url=sandbox_url) as sandbox:
        await sandbox.post(f"/control/orders/{data['orderId']}/pay", json={"wait": True})
    await announce([webhook(hooks.bodies[-1])])

    async def paid() -> bool:
        payment = (await http.get(f"/api/v1/payments/{data['paymentId']}")).json()
        return bool(payment["data"]["status"] == "SUCCESS")

    await until(paid)

    async def invoiced() -> Any:
        async with db.begin() as tx:
            return (await tx.execute("select invoice_number from invoices")).all()

    [row] = await until(invoiced)
    assert row.invoice_number.endswith("/000001")
    assert "commdesk_payment_moves_total" in (await http.get("/metrics")).text

    async def calls() -> bool:
        async with db.begin() as tx:
            return int((await tx.execute("select count(*) from gateway_calls")).scalar_one()) >= 2

    await until(calls)
    await running_service.stop()
    async with db.begin() as tx:
        left = (await tx.execute("select exchange, routing_key from outbox where published_at is null")).all()
    assert left == []


def webhook(body: bytes) -> WebhookReceived:
    """What webhook-ingest announces of a webhook whose signature is good."""
    return WebhookReceived(
        event_id=ids.encode("evt", ids.new()),
        time_unix_micros=int(time.time() * 1_000_000),
        merchant_id="mer_commdesk",
        gateway="cashfree",
        gateway_account_id="gwa_cashfree",
        type="PAYMENT_SUCCESS_WEBHOOK",
        body=body,
    )
