"""Many members who buy at once, with tokens of an existing issuer."""

import asyncio
import itertools
import random
import secrets
import time
from collections.abc import Collection, Sequence
from typing import Any

import aiohttp
import jwt

from common.settings import ServiceSettings
from ops import fleet_database
from ops.fleet_client import Answer, FleetClient
from ops.journey import MERCHANT, Member, StepFailed

GATEWAYS = ("cashfree", "razorpay")
# Longer than the lease that a killed process leaves on a key.
RETRY_SECONDS_MAX = 90.0
# The pause between two tries grows up to three seconds, so that many who wait do not become a flood.
PAUSE_GROWTH_MAX = 8.0
# Not the last word on a request: the same key again gets it.
NOT_FINAL = frozenset({202, 409, 429, 500, 502, 503, 504})


def members(fleet: FleetClient, count: int) -> list[Member]:
    """Members with HS256 tokens, which the fleet accepts from existing issuers: no password is hashed for them."""
    users, now = [], int(time.time())
    for _ in range(count):
        user_id = f"usr_{secrets.token_hex(8)}"
        email = f"{user_id}@example.com"
        claims = {
            "iss": ServiceSettings.model_fields["token_issuer"].default,
            "aud": ServiceSettings.model_fields["token_audience"].default,
            "sub": user_id,
            "merchant_id": MERCHANT,
            "roles": ["USER"],
            "email": email,
            "name": "Virtual User",
            "phone": "9876543210",
            "iat": now,
            "exp": now + 12 * 3600,
        }
        users.append(Member(user_id, email, jwt.encode(claims, fleet.description["jwt_secret"], "HS256")))
    return users


async def create_with_retries(
    fleet: FleetClient,
    member: Member,
    key: str,
    *,
    retry_seconds_max: float = RETRY_SECONDS_MAX,
    refusals: Collection[int] = (),
    **body: Any,
) -> Answer:
    """Create a payment as a careful client does: the same key again until the answer is final. Raises StepFailed.

    *refusals* are statuses that are not final for this client; the set may change meanwhile.
    """
    ends = time.monotonic() + retry_seconds_max
    for attempt in itertools.count():
        growth = min(1.5**attempt, PAUSE_GROWTH_MAX)
        pause_seconds = growth * random.uniform(0.1, 0.4)  # noqa: S311 - jitter
        try:
            answer = await fleet.edge(
                "POST",
                "/api/v1/payments/create",
                {"packId": "pack_500", **body},
                token=member.token,
                headers={"Idempotency-Key": key},
            )
            # Words that are not the product's come from in front of it: an edge that has not read its routes yet.
            if answer.status not in NOT_FINAL and answer.status not in refusals and isinstance(answer.body, dict):
                return answer
            pause_seconds += float(answer.headers.get("Retry-After", 0))
        except (OSError, TimeoutError, aiohttp.ClientError):
            pass
        if time.monotonic() > ends:
            raise StepFailed(f"no final answer to {key} within {retry_seconds_max:.0f} s")
        await asyncio.sleep(pause_seconds)
    raise AssertionError("unreachable")


async def buy_all(
    fleet: FleetClient, count: int, *, at_once: int, pay: bool = True, per_member: int = 5
) -> list[dict[str, Any]]:
    """Create *count* payments, *at_once* at a time, and pay each at the sandbox; what create answered."""
    buyers = members(fleet, -(-count // per_member))
    turns = asyncio.Semaphore(at_once)

    async def buy(number: int) -> dict[str, Any]:
        async with turns:
            answer = await create_with_retries(fleet, buyers[number % len(buyers)], f"virtual-{secrets.token_hex(12)}")
            if answer.status != 201:
                raise StepFailed(f"create was answered {answer.status}: {answer.body}")
            created: dict[str, Any] = answer.data
            if pay:
                await pay_order(fleet, created["orderId"])
            return created

    return await asyncio.gather(*(buy(number) for number in range(count)))


async def pay_order(fleet: FleetClient, order_id: str, **how: Any) -> None:
    """Pay, unless a rule paid it already. Raises StepFailed.

    While a gateway is down, routing makes orders at the other one: the order is paid where it is.
    """
    for gateway in sorted(GATEWAYS, key=lambda name: name != fleet.gateway):
        path = f"/control/orders/{order_id}/pay"
        answer = await fleet.sandbox("POST", path, {"method": "upi", **how}, gateway=gateway)
        if answer.status == 200 or not _is_unknown(answer):
            break
    if answer.status != 200 and _refusal(answer) not in ("order_inactive", "order_already_paid"):
        raise StepFailed(f"the sandbox answered {answer.status}: {answer.body}")


async def make_order_of_others(fleet: FleetClient, order_id: str) -> None:
    """An order over ₹500 of our account at the gateway that our fleet did not make. Raises StepFailed."""
    edge_url, sandbox_url = fleet.description["edge_url"], fleet.description["sandbox_url"]
    if fleet.gateway == "razorpay":
        key = fleet.description["razorpay"]
        headers = {"Authorization": aiohttp.encode_basic_auth(key["key_id"], key["key_secret"])}
        url, order = f"{sandbox_url}/razorpay/v1/orders", {"amount": 50_000, "currency": "INR", "receipt": order_id}
    else:
        known = fleet.description["cashfree"]
        headers = {
            "x-client-id": known["app_id"],
            "x-client-secret": known["secret_key"],
            "x-api-version": known["api_version"],
        }
        url, order = (
            f"{sandbox_url}/pg/orders",
            {
                "order_id": order_id,
                "order_amount": 500.00,
                "order_currency": "INR",
                "customer_details": {"customer_id": "stranger", "customer_phone": "9876543210"},
                "order_meta": {"notify_url": f"{edge_url}/api/v1/webhooks/cashfree"},
            },
        )
    async with aiohttp.ClientSession(headers=headers) as http, http.post(url, json=order) as response:
        if response.status != 200:
            raise StepFailed(f"the sandbox answered {response.status}: {await response.text()}")


def _is_unknown(answer: Answer) -> bool:
    """Whether that gateway has no such order."""
    return answer.status == 404 or "does not exist" in str(answer.data)


def _refusal(answer: Answer) -> str:
    """Why the sandbox refused, as each gateway says it."""
    return str(answer.data["error"]["reason"] if "error" in answer.data else answer.data["code"])


async def fault(fleet: FleetClient, **rule: Any) -> int:
    """Put a rule of the sandbox in force; its number. Raises StepFailed."""
    answer = await fleet.sandbox("POST", "/control/faults", rule)
    if answer.status != 201:
        raise StepFailed(f"the sandbox answered {answer.status}: {answer.body}")
    return int(answer.data["id"])


async def granted(fleet: FleetClient, order_ids: Sequence[str]) -> int:
    """How many of these orders' payments are granted, by the database."""
    async with fleet_database.connect(fleet.description) as db:
        return int(
            await db.fetchval(
                "select count(*) from payment.payments p"
                " where p.order_id = any($1) and p.status = 'SUCCESS' and p.credits_granted > 0",
                list(order_ids),
            )
        )
