"""The service as it runs, on real engines, with its neighbours, and hands to use it with."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import repeat
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.message import Message

from commdesk.common.v1.common_pb2 import Error
from commdesk.common.v1.common_pb2 import Money as MoneyMessage
from commdesk.fraud.v1 import fraud_pb2, fraud_pb2_grpc
from commdesk.identity.v1 import identity_pb2, identity_pb2_grpc
from commdesk.wallet.v1 import wallet_pb2, wallet_pb2_grpc
from commdesk.webhook_ingest.v1.events_pb2 import WebhookReceived
from common import checkpoints, ids
from common.clock import FakeClock
from common.database import Row
from common.delivery import Timeline
from common.testing import Served, delivery, published
from payment.store import totals as stored_totals

APP_ID, SECRET = "TEST_payment", "cfsk_ma_test_payment"
ACCOUNT = "gwa_cashfree"
PAYMENTS = "/api/v1/payments"


class Fraud(fraud_pb2_grpc.FraudServiceServicer):
    """Answers as a test sets it."""

    def __init__(self) -> None:
        self.decision: Any = fraud_pb2.DECISION_ALLOW
        self.delays_seconds: Iterator[float] = repeat(0.0)
        self.calls = 0
        # Payment id → the key of its request; a payment may be scored twice.
        self.request_keys: dict[str, str] = {}

    async def Score(self, request: fraud_pb2.ScoreRequest, context: Any) -> fraud_pb2.ScoreResponse:
        self.calls += 1
        self.request_keys |= {subject.payment_id: subject.request_key for subject in request.subjects}
        await asyncio.sleep(next(self.delays_seconds))
        score = fraud_pb2.Score(score=420, decision=self.decision, reasons=["velocity"])
        return fraud_pb2.ScoreResponse(scores=[score] * len(request.subjects))


class Wallet(wallet_pb2_grpc.WalletServiceServicer):
    """Sells one pack, and holds what a test has not spent."""

    def __init__(self) -> None:
        self.calls = 0
        # Credits that were spent of every payment, and the refusal of every hold, as a test sets them.
        self.spent = 0
        self.refusal = ""
        self.is_away = False
        # Operation key → the hold that it made; in the order of the calls.
        self.holds: dict[str, wallet_pb2.Hold] = {}
        self.requests: list[wallet_pb2.HoldRequest] = []

    async def HoldCredits(self, request: wallet_pb2.HoldCreditsRequest, context: Any) -> wallet_pb2.HoldCreditsResponse:
        if self.is_away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        return wallet_pb2.HoldCreditsResponse(results=[self._hold(item, is_kept=True) for item in request.items])

    async def PreviewHolds(
        self, request: wallet_pb2.PreviewHoldsRequest, context: Any
    ) -> wallet_pb2.PreviewHoldsResponse:
        if self.is_away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        return wallet_pb2.PreviewHoldsResponse(results=[self._hold(item, is_kept=False) for item in request.items])

    def _hold(self, item: wallet_pb2.HoldRequest, *, is_kept: bool) -> wallet_pb2.HoldResult:
        self.requests.append(item)
        if item.operation_key in self.holds:
            return wallet_pb2.HoldResult(hold=self.holds[item.operation_key])
        missing = min(self.spent, item.credits_paid)
        refusal = self.refusal or (
            "wallet_credits_spent" if missing and item.policy == wallet_pb2.SPENT_CREDITS_BLOCK else ""
        )
        if refusal:
            return wallet_pb2.HoldResult(error=Error(code=refusal, kind="FailedPrecondition", message="no"))
        hold = wallet_pb2.Hold(
            hold_id=ids.encode("hld", ids.new()) if is_kept else "",
            credits_paid=item.credits_paid - missing,
            credits_bonus=item.credits_bonus,
            missing_paid=missing,
            value=MoneyMessage(minor=8 * (item.credits_paid - missing), currency="INR"),
        )
        if is_kept:
            self.holds[item.operation_key] = hold
        return wallet_pb2.HoldResult(hold=hold)

    async def ListPacks(self, request: wallet_pb2.ListPacksRequest, context: Any) -> wallet_pb2.ListPacksResponse:
        self.calls += 1
        pack = wallet_pb2.Pack(
            pack_id="pack_500",
            version=1,
            name="₹500",
            price=MoneyMessage(minor=50_000, currency="INR"),
            credits_paid=5_000,
            credits_bonus=500,
        )
        return wallet_pb2.ListPacksResponse(packs=[pack])


def _type(body: bytes) -> str:
    """What webhook-ingest says of a body's type; anything where it cannot be read."""
    try:
        # What webhook-ingest announces is a text that UTF-8 carries.
        return str(json.loads(body)["type"]).encode("utf-8", "replace").decode()
    except (ValueError, KeyError, TypeError, RecursionError):
        return "?"


class Identity(identity_pb2_grpc.IdentityServiceServicer):
    """Lets everybody act but those whom a test dismissed."""

    def __init__(self) -> None:
        self.dismissed: set[str] = set()
        self.refusal = "rights_outdated"
        self.acts: list[identity_pb2.Act] = []

    async def Authorize(self, request: identity_pb2.AuthorizeRequest, context: Any) -> identity_pb2.AuthorizeResponse:
        self.acts += request.acts
        refused = Error(code=self.refusal, kind="PermissionDenied", message="no more")
        return identity_pb2.AuthorizeResponse(
            results=[
                identity_pb2.AuthorizeResult(error=refused if act.user_id in self.dismissed else None)
                for act in request.acts
            ]
        )


class Neighbours:
    """Fraud, wallet and identity on a port of their own."""

    def __init__(self) -> None:
        self.fraud, self.wallet, self.identity = Fraud(), Wallet(), Identity()
        self.server = grpc.aio.server()
        fraud_pb2_grpc.add_FraudServiceServicer_to_server(self.fraud, self.server)  # type: ignore[no-untyped-call]
        wallet_pb2_grpc.add_WalletServiceServicer_to_server(self.wallet, self.server)  # type: ignore[no-untyped-call]
        identity_pb2_grpc.add_IdentityServiceServicer_to_server(self.identity, self.server)  # type: ignore[no-untyped-call]
        self.port = self.server.add_insecure_port("127.0.0.1:0")


class WebhookReceiver:
    """Where the sandbox sends its webhooks, and their raw bodies as they came."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[bytes] = []


class World:
    """What a test uses of the running service."""

    def __init__(
        self,
        served: Served,
        clock: FakeClock,
        sandbox: httpx.AsyncClient,
        neighbours: Neighbours,
        receiver: WebhookReceiver,
        access_token: Callable[..., str],
    ) -> None:
        self.http = served.http
        self.db = served.resources.db
        self.clock = clock
        self.sandbox = sandbox
        self.fraud = neighbours.fraud
        self.wallet = neighbours.wallet
        self.identity = neighbours.identity
        self.neighbours = neighbours.server
        self.hooks = receiver.bodies
        self.notify_url = receiver.url
        self.served = served
        self._syncs_run = 0
        self._access_token = access_token

    def recipient(self, mail: Any) -> tuple[str, str]:
        """To whom a mail goes; it travels sealed."""
        assert mail.recipient.email.startswith("s1.")
        sealer = self.db.sealer
        return sealer.open("email", mail.recipient.email), sealer.open("name", mail.recipient.name)

    # ── Customers ────────────────────────────────────────────────────────────────────────────────────────────────

    def auth(
        self, user: str = "usr_asha", *roles: str, merchant: str = "mer_commdesk", **claims: object
    ) -> dict[str, str]:
        account = {"email": f"{user}@example.in", "name": "Asha", "phone": "9876543210", "email_verified": True}
        profile: dict[str, Any] = account | claims
        return {"authorization": f"Bearer {self._access_token(user, merchant_id=merchant, roles=roles, **profile)}"}

    async def create(
        self, *, user: str = "usr_asha", merchant: str = "mer_commdesk", key: str = "", **body: Any
    ) -> httpx.Response:
        """POST /payments/create of the ₹500 pack by default."""
        if "amount" not in body and "packId" not in body:
            body["packId"] = "pack_500"
        headers = self.auth(user, merchant=merchant) | ({"idempotency-key": key} if key else {})
        return await self.http.post(f"{PAYMENTS}/create", json=body, headers=headers)

    async def created(self, **body: Any) -> dict[str, Any]:
        response = await self.create(**body)
        assert response.status_code == 201, response.text
        data: dict[str, Any] = response.json()["data"]
        return data

    async def get(
        self, path: str, user: str = "usr_asha", *roles: str, merchant: str = "mer_commdesk"
    ) -> httpx.Response:
        return await self.http.get(f"{PAYMENTS}{path}", headers=self.auth(user, *roles, merchant=merchant))

    async def verify(self, user: str = "usr_asha", *, merchant: str = "mer_commdesk", **body: str) -> httpx.Response:
        return await self.http.post(f"{PAYMENTS}/verify", json=body, headers=self.auth(user, merchant=merchant))

    async def cancel(self, payment: dict[str, Any], user: str = "usr_asha", *roles: str) -> httpx.Response:
        return await self.http.post(f"{PAYMENTS}/{payment['paymentId']}/cancel", headers=self.auth(user, *roles))

    async def status(self, payment: dict[str, Any], *, merchant: str = "mer_commdesk") -> str:
        response = await self.get(f"/{payment['paymentId']}", merchant=merchant)
        return str(response.json()["data"]["status"])

    # ── The gateway ──────────────────────────────────────────────────────────────────────────────────────────────

    async def pay(self, order_id: str, **command: Any) -> None:
        """Pay at the gateway and wait until its webhook has arrived here."""
        before = len(self.hooks)
        response = await self.sandbox.post(f"/control/orders/{order_id}/pay", json=command)
        assert response.status_code == 200, response.text
        await self.hooks_arrive(before + 1)

    async def pay_unnoticed(self, order_id: str) -> None:
        """Pay at the gateway; its webhook is left where it arrives."""
        response = await self.sandbox.post(f"/control/orders/{order_id}/pay", json={"outcome": "success"})
        assert response.status_code == 200, response.text

    async def hooks_arrive(self, number: int) -> None:
        for _ in range(200):
            if len(self.hooks) >= number:
                return
            await asyncio.sleep(0.02)
        pytest.fail(f"only {len(self.hooks)} of {number} webhooks arrived")

    async def fault(self, **rule: Any) -> None:
        response = await self.sandbox.post("/control/faults", json=rule)
        assert response.status_code == 201, response.text

    async def foreign_order(self, order_id: str, amount: float, payment_id: str | None) -> None:
        """An order that somebody else who uses our gateway account makes, with the tag of another payment or none."""
        order: dict[str, Any] = {
            "order_id": order_id,
            "order_amount": amount,
            "order_currency": "INR",
            "customer_details": {"customer_id": "stranger", "customer_phone": "9876543210"},
            "order_meta": {"notify_url": self.notify_url},
        }
        if payment_id is not None:
            order["order_tags"] = {"payment_id": payment_id}
        headers = {"x-client-id": APP_ID, "x-client-secret": SECRET, "x-api-version": "2025-01-01"}
        response = await self.sandbox.post("/pg/orders", json=order, headers=headers)
        assert response.status_code == 200, response.text

    # ── Queues, jobs and tables ──────────────────────────────────────────────────────────────────────────────────

    async def deliver(self, *bodies: bytes, account: str = ACCOUNT, merchant: str = "mer_commdesk") -> None:
        """Hand webhooks to the queue's handler, as webhook-ingest announces them: one envelope."""
        await self.handle(
            "webhook.processing", [self.webhook(body, account=account, merchant=merchant) for body in bodies]
        )

    @staticmethod
    def webhook(body: bytes, *, account: str = ACCOUNT, merchant: str = "mer_commdesk") -> WebhookReceived:
        return WebhookReceived(
            event_id=ids.encode("evt", ids.new()),
            time_unix_micros=int(time.time() * 1_000_000),
            merchant_id=merchant,
            gateway="cashfree",
            gateway_account_id=account,
            type=_type(body),
            body=body,
        )

    async def handle(self, queue: str, events: Sequence[Message], *, attempt: int = 0) -> None:
        await self.served.deliver(queue, [delivery(events, attempt=attempt)])

    async def keep_dead_letters(self) -> int:
        return await self.served.keep_dead_letters()

    async def run_syncs(self) -> int:
        """Hand the commands to look payments up to their queue's handler; how many there were that were not yet."""
        commands = (await self.announced("payment.sync.requested"))[self._syncs_run :]
        self._syncs_run += len(commands)
        if commands:
            await self.handle("payment.processing", commands)
        return len(commands)

    async def announced(self, key: str) -> list[Any]:
        return [event for _, event in await published(self.db, key)]

    async def rows(self, sql: str, **params: Any) -> list[Row]:
        async with self.db.begin() as tx:
            return list((await tx.execute(sql, **params)).all())

    async def run_job(self, name: str) -> object:
        [job] = [job for job in self.served.service.jobs if job.name == name]
        return await job.run()

    async def paid(self, **body: Any) -> dict[str, Any]:
        """A payment whose success has been seen."""
        data = await self.created(**body)
        await self.pay(data["orderId"])
        await self.deliver(self.hooks[-1])
        return data

    async def sweep(self) -> object:
        """How many payments were due."""
        return await self.run_job("sweep")

    async def write_gateway_calls(self) -> None:
        await self.run_job("gateway_calls")

    @property
    def redis(self) -> Any:
        return self.served.resources.redis

    async def cached_responses(self) -> dict[bytes, bytes]:
        """What Redis holds of answers, once everything is written."""
        for batcher in self.served.service.batchers():
            await batcher.drain()
        return {key: await self.redis.get(key) async for key in self.redis.scan_iter("idempotency:payment:*")}

    async def forget_responses(self) -> None:
        """Empty Redis, once everything is written."""
        await self.cached_responses()
        await self.redis.flushdb()

    async def run_intents(self) -> None:
        """Let everything that is left be due now, and execute it as the workers do."""
        async with self.db.begin() as tx:
            await tx.execute("update intents set due_at = now(), leased_until = null where done_at is null")
        for intents in self.served.service.intents():
            await intents.run_once()

    async def timeline(self, reference: str) -> Timeline:
        async with self.db.begin() as tx:
            return await self.served.service.timeline(tx, reference)

    async def totals(self) -> Mapping[str, int]:
        """Over every row. Those that the books are compared by must be the same from the checkpoints on."""
        service = self.served.service
        assert service.recent_totals is not None
        await asyncio.sleep(0.01)
        async with self.db.begin() as tx:
            # All that is there becomes final, so that the checkpoint and what comes later both count.
            await checkpoints.sums(tx, "captures", stored_totals.CAPTURED, timedelta(0))
            totals, recent = await service.totals(tx), await service.recent_totals(tx)
        assert recent == {name: totals[name] for name in recent}
        return totals

    def channel(self) -> grpc.aio.Channel:
        return self.served.channel("operator")
