"""The whole process: doors, consumers, relay and workers over the real broker, and an orderly end."""

import asyncio
import os
import signal
import sys
import time
from typing import Any

import aio_pika
import httpx
import jwt

from commdesk.webhook_ingest.v1.events_pb2 import WebhookReceived
from common import envelopes, ids


async def until(check: Any, seconds: float = 20) -> Any:
    """What *check* returns once it is truthy."""
    deadline = time.monotonic() + seconds
    while True:
        found = await check()
        if found:
            return found
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.05)


async def test_a_payment_from_create_to_invoice_through_the_broker(
    db: Any, settings_env: dict[str, str], broker_admin_url: str, sandbox_url: str, sandbox_account: Any, hooks: Any
) -> None:
    app_id, secret = sandbox_account
    environment = os.environ | {
        "CASHFREE_BASE_URL": f"{sandbox_url}/pg",
        "CASHFREE_APP_ID": app_id,
        "CASHFREE_SECRET_KEY": secret,
        "CASHFREE_NOTIFY_URL": hooks.url,
        "WALLET_ADDRESS": "127.0.0.1:1",
        "FRAUD_ADDRESS": "127.0.0.1:1",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "payment", env=environment)
    token = jwt.encode({"sub": "usr_asha", "exp": int(time.time()) + 600}, settings_env["JWT_SECRET"], "HS256")
    base = f"http://127.0.0.1:{settings_env['HTTP_PORT']}"
    async with httpx.AsyncClient(base_url=base, headers={"authorization": f"Bearer {token}"}) as http:

        async def ready() -> bool:
            try:
                return (await http.get("/health/ready")).status_code == 200
            except httpx.HTTPError:
                return False

        try:
            await until(ready)
            # Wallet and fraud are away: packs cannot be bought, amounts can.
            response = await http.post("/api/v1/payments", json={"packId": "pack_500"})
            assert (response.status_code, response.json()["error"]["code"]) == (503, "packs_unavailable")
            body = {"amount": 50_000, "customerEmail": "asha@example.in"}
            data = (await http.post("/api/v1/payments", json=body)).json()["data"]
            async with httpx.AsyncClient(base_url=sandbox_url) as sandbox:
                await sandbox.post(f"/control/orders/{data['orderId']}/pay", json={"wait": True})
            await announce(broker_admin_url, hooks.bodies[-1])

            async def paid() -> bool:
                found = (await http.get(f"/api/v1/payments/{data['paymentId']}")).json()
                return bool(found["data"]["status"] == "SUCCESS")

            await until(paid)

            async def invoiced() -> Any:
                async with db.begin() as tx:
                    return (await tx.execute("select invoice_number from invoices")).all()

            [row] = await until(invoiced)
            assert row.invoice_number.endswith("/000001")
            assert "payment_moves_total" in (await http.get("/metrics")).text

            async def calls() -> bool:
                async with db.begin() as tx:
                    return int((await tx.execute("select count(*) from gateway_calls")).scalar()) >= 2

            await until(calls)
        finally:
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 30) == 0
    async with db.begin() as tx:
        left = (await tx.execute("select exchange, routing_key from outbox where published_at is null")).all()
    assert left == []


async def announce(broker_admin_url: str, body: bytes) -> None:
    """What webhook-ingest does with a webhook whose signature is good."""
    event = WebhookReceived(
        event_id=ids.encode("evt", ids.new()),
        time_unix_micros=int(time.time() * 1_000_000),
        merchant_id="mer_commdesk",
        gateway="cashfree",
        type="PAYMENT_SUCCESS_WEBHOOK",
        body=body,
    )
    _, sealed = envelopes.seal("webhook-ingest", event.DESCRIPTOR.full_name, [event.SerializeToString()])
    async with await aio_pika.connect(broker_admin_url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("webhook.exchange")
        await exchange.publish(aio_pika.Message(sealed), "webhook.cashfree.received")
