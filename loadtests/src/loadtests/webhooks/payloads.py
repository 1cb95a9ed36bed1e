"""The payloads of a storm: real orders of this stack, with the webhooks that the simulator signed for them."""

import base64
import hmac
import json
import random
import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from loadtests import config as bench
from loadtests import members
from loadtests.generator import Generator
from loadtests.http_client import Address, Connection, get, post
from loadtests.webhooks import config
from loadtests.webhooks.config import Plan
from ops.progress import Progress

PATH = "/api/v1/webhooks/cashfree"
_EVENT_TIME = re.compile(rb'"event_time":"([^"]+)"')


class SentWebhook(msgspec.Struct):
    """A webhook as the simulator signed it."""

    id: int
    order_id: str
    headers: dict[str, str]
    body: str


class _Listed(msgspec.Struct):
    webhooks: list[SentWebhook]


class Storm(Struct):
    """Requests in the order in which they are due; *events* says which event each tells of, repeats included."""

    requests: list[bytes] = []
    events: list[int] = []
    order_ids: list[str] = []
    """Orders that the gateway shows."""
    hidden: list[str] = []
    """Orders that it shows once `hiding_rules` are removed: until then nothing can be done with their webhooks."""
    hiding_rules: list[int] = []

    @property
    def distinct(self) -> int:
        return len(set(self.events))


class Simulator:
    """The gateway's simulator: its control API."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        self._address = Address.of(description["sandbox_url"])
        self._known = description["cashfree"]
        self._notify_url = description["edge_url"] + PATH
        self._connection = Connection(self._address)
        self._newest = 0

    async def ask(self, request: bytes, *statuses: int) -> bytes:
        """The body of an answer with one of *statuses*. Raises RuntimeError."""
        answer = await self._connection.ask(request)
        if answer.status not in statuses:
            raise RuntimeError(f"the sandbox answered {answer.status}: {answer.body[:300]!r}")
        return answer.body

    async def hold_back_webhooks(self) -> int:
        """Sign and record webhooks, send none. Returns the rule's number."""
        body = msgspec.json.encode({"action": "drop", "operation": "webhook"})
        found: int = json.loads(await self.ask(post("/control/faults", self._address, body), 201))["id"]
        sent = await self._listed(1)
        self._newest = sent[0].id if sent else 0
        return found

    async def hide(self, order_id: str) -> int:
        """Fail every read of an order. Returns the rule's number."""
        rule = {"action": "error", "operation": "get_order", "order_id": order_id, "status": 500}
        body = msgspec.json.encode(rule)
        number: int = json.loads(await self.ask(post("/control/faults", self._address, body), 201))["id"]
        return number

    async def remove_rule(self, rule: int) -> None:
        await self.ask(f"DELETE /control/faults/{rule} HTTP/1.1\r\nHost: {self._address}\r\n\r\n".encode(), 200)

    async def pay(self, order_ids: Sequence[str], outcome: str) -> list[SentWebhook]:
        """Attempt to pay each of at most `CHUNK` orders, and return the webhooks that were held back."""
        body = msgspec.json.encode({"order_ids": list(order_ids), "outcome": outcome, "delay_ms": 0})
        refused = json.loads(await self.ask(post("/control/pay", self._address, body), 200))["refused"]
        if refused:
            raise RuntimeError(f"the sandbox refused to pay {len(refused)} orders")
        ends = time.monotonic() + 30
        while time.monotonic() < ends:
            fresh = [sent for sent in await self._listed(len(order_ids)) if sent.id > self._newest]
            if len(fresh) == len(order_ids):
                self._newest = fresh[0].id
                return fresh
        raise TimeoutError("the simulator did not record its webhooks")

    async def _listed(self, limit: int) -> list[SentWebhook]:
        listed = await self.ask(get(f"/control/webhooks?limit={limit}", self._address), 200)
        return msgspec.json.decode(listed, type=_Listed).webhooks

    def close(self) -> None:
        self._connection.close()


async def prepare(description: Mapping[str, Any], plan: Plan, progress: Progress) -> Storm:
    """Create and pay the orders, hold back their webhooks, and arrange all deliveries in time."""
    simulator = Simulator(description)
    storm = Storm()
    rule = await simulator.hold_back_webhooks()
    try:
        tokens = members.tokens(description["jwt_secret"], -(-plan.orders // bench.PAYMENTS_PER_MEMBER_MAX) + 1)
        generator = Generator(description["edge_url"], description["sandbox_url"], tokens)
        outcome = await generator.run(plan.orders + plan.hidden_orders, clients=32, rate=0, pay=False)
        if outcome.failures:
            raise RuntimeError(f"orders could not be created: {dict(outcome.failures)}")
        storm.order_ids, storm.hidden = outcome.order_ids[: plan.orders], outcome.order_ids[plan.orders :]
        progress.done(f"{len(outcome.order_ids):,} orders created through the edge, at {outcome.created_per_s:.0f}/s")
        sent = [
            (number / plan.attempts, webhook)
            for number in range(plan.attempts)
            for start in range(0, plan.orders, config.CHUNK)
            for webhook in await simulator.pay(
                storm.order_ids[start : start + config.CHUNK],
                "success" if number == plan.attempts - 1 else "failure",
            )
        ]
        progress.done(f"{len(sent):,} attempts to pay them at the gateway, all but the last of each order failed")
        hidden = await simulator.pay(storm.hidden, "success") if storm.hidden else []
        storm.hiding_rules = [await simulator.hide(order_id) for order_id in storm.hidden]
        progress.done(f"{plan.hidden_orders} orders paid that the gateway does not show yet")
    finally:
        await simulator.remove_rule(rule)
        simulator.close()
    arrange(storm, plan, sent, hidden, description)
    return storm


def arrange(
    storm: Storm,
    plan: Plan,
    sent: Sequence[tuple[float, SentWebhook]],
    hidden: Sequence[SentWebhook],
    description: Mapping[str, Any],
) -> None:
    """Every delivery at its place: orders follow one another, a customer's attempts too, repeats a little later."""
    dice = random.Random(1)  # noqa: S311 - the same storm every time
    host = Address.of(description["edge_url"])
    secret = description["cashfree"]["secret_key"].encode()
    span = plan.attempts * config.ATTEMPT_GAP_SECONDS
    starts = {order_id: dice.uniform(-span, plan.seconds) for order_id in storm.order_ids}
    placed: list[tuple[float, int, bytes]] = []
    for event, (part, webhook) in enumerate(sent):
        at = max(0.0, starts[webhook.order_id] + part * span)
        placed.append((at, event, _request(host, webhook.headers, webhook.body.encode())))
    # The first ones: the fleet must have refused them once before the gateway shows their orders.
    placed += [
        (-1.0, len(sent) + number, _request(host, webhook.headers, webhook.body.encode()))
        for number, webhook in enumerate(hidden)
    ]
    for number in range(plan.deliveries - len(placed)):
        event = dice.randrange(len(sent))
        webhook = sent[event][1]
        body = webhook.body.encode() if number % 2 else _rendered_later(webhook.body.encode(), number)
        at = min(placed[event][0] + dice.uniform(*config.REPEATED_AFTER_SECONDS), float(plan.seconds))
        placed.append((at, event, _request(host, _signed(webhook.headers, secret, body, attempt=2), body)))
    placed.sort(key=lambda each: each[0])
    storm.requests = [request for _, _, request in placed]
    storm.events = [event for _, event, _ in placed]


def _rendered_later(body: bytes, number: int) -> bytes:
    """The same event as the gateway renders it another time: only its event_time tells the two apart."""
    found = _EVENT_TIME.search(body)
    assert found is not None, "every webhook of the simulator has its time"
    later = datetime.fromisoformat(found[1].decode()) + timedelta(seconds=1 + number % 86_400)
    return body.replace(found[0], b'"event_time":"' + later.isoformat(timespec="seconds").encode() + b'"')


def _signed(headers: Mapping[str, str], secret: bytes, body: bytes, attempt: int) -> dict[str, str]:
    timestamp = str(time.time_ns() // 1_000_000)
    digest = hmac.digest(secret, timestamp.encode() + body, "sha256")
    return {
        **headers,
        "x-webhook-timestamp": timestamp,
        "x-webhook-signature": base64.b64encode(digest).decode(),
        "x-webhook-attempt": str(attempt),
    }


def _request(host: Address, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if name != "content-type")
    return post(PATH, host, body, lines)
