"""A gateway that tells of the same payment again and again, and somebody who would like to be that gateway."""

import base64
import hmac
import secrets
import time

import gevent
from locust import task

from loadtests import members
from loadtests.users.journey import (
    CREATE,
    DESCRIPTION,
    PACK_CREDITS,
    PACK_ID,
    SANDBOX_URL,
    WEBHOOK,
    Journey,
    StepFailed,
)

TIMES = 20
TRIES_MAX = 50


class WebhookStorm(Journey):
    """However often a payment is announced, its credits are granted once."""

    title = "webhook storm"

    @task
    def storm(self) -> None:
        with self.travelling():
            [token] = members.tokens(DESCRIPTION["jwt_secret"], 1)
            headers = {"Idempotency-Key": secrets.token_hex(12)}
            created = self.step("POST", CREATE, {201}, body={"packId": PACK_ID}, token=token, headers=headers).data
            self.pay(created["orderId"])
            body = self.until(lambda: self._webhook_of(created["orderId"]), "the gateway's own webhook")
            ids = {self._deliver(body) for _ in range(TIMES)}
            if len(ids) != 1:
                raise StepFailed(f"one webhook was stored under {len(ids)} ids")
            forged = {**signed(body), "x-webhook-signature": base64.b64encode(b"forged").decode()}
            self.step("POST", WEBHOOK, {401}, name=f"{WEBHOOK} (forged)", raw=body, headers=forged)
            self.until_success(token, created["paymentId"])
            self.until_available(token, PACK_CREDITS)

    def _webhook_of(self, order_id: str) -> bytes | None:
        path = f"{SANDBOX_URL}/control/webhooks?order_id={order_id}"
        found = self.step("GET", path, {200}, name="(gateway) webhooks").data["webhooks"]
        return found[0]["body"].encode() if found else None

    def _deliver(self, body: bytes) -> str:
        for _ in range(TRIES_MAX):
            answer = self.step("POST", WEBHOOK, {200, 503}, raw=body, headers=signed(body))
            if answer.status == 200:
                return str(answer.data["eventId"])
            gevent.sleep(float(answer.headers["retry-after"]))
        raise StepFailed("answered 503 every time")


def signed(body: bytes) -> dict[str, str]:
    """The headers of a delivery of *body*, signed afresh as every resend is."""
    timestamp = str(time.time_ns() // 1_000_000)
    secret = DESCRIPTION["cashfree"]["secret_key"].encode()
    digest = hmac.digest(secret, timestamp.encode() + body, "sha256")
    return {
        "Content-Type": "application/json",
        "x-webhook-timestamp": timestamp,
        "x-webhook-signature": base64.b64encode(digest).decode(),
        "x-webhook-version": "2025-01-01",
    }
