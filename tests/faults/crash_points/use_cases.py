"""The use cases whose every effect is died after, and what each must have come to in the end.

A use case is an act in three parts: it yields once when it is prepared, and again when it is done. What comes after
that is looked at when the fleet is quiet. Clients repeat the same request until its answer is final.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
import grpc.aio

from commdesk.common.v1 import delivery_pb2
from commdesk.reconciler.v1 import reconciler_pb2
from common import ids, topology
from common.services import SERVICES
from ops import invariants, journey, virtual_users
from ops.fleet_client import Answer
from ops.journey import StepFailed
from tests.faults.environment import Environment
from tests.faults.history import Created
from tests.faults.messages import consumption, request_consumption, requested
from tests.faults.scenarios.webhooks import order

T = TypeVar("T")
Act = Callable[[Environment], AsyncIterator[None]]

RETRY_SECONDS_MAX = 60.0
# Those that have a part in a payment.
ALL = tuple(name for name in SERVICES if name != "identity")


@dataclass(frozen=True)
class UseCase:
    """What is done, and the services that are killed while they do their part of it."""

    name: str
    act: Act
    services: tuple[str, ...]


USE_CASES: list[UseCase] = []


def use_case(name: str, *services: str) -> Callable[[Act], Act]:
    """Register a use case."""

    def registered(act: Act) -> Act:
        USE_CASES.append(UseCase(name, act, services))
        return act

    return registered


async def retry(ask: Callable[[], Awaitable[T | None]]) -> T:
    """Ask again until there is a final answer. Raises StepFailed."""
    ends = time.monotonic() + RETRY_SECONDS_MAX
    while time.monotonic() < ends:
        try:
            if (answer := await ask()) is not None:
                return answer
        except (OSError, TimeoutError, aiohttp.ClientError, grpc.aio.AioRpcError):
            pass
        await asyncio.sleep(0.2)
    raise StepFailed(f"no final answer within {RETRY_SECONDS_MAX:.0f} s")


async def _at_the_edge(environment: Environment, created: Created, path: str, body: Any = None) -> Answer:
    async def ask() -> Answer | None:
        answer = await environment.fleet.edge("POST", path, body, token=created.member.token)
        # Plain text comes from in front of the product.
        return answer if answer.status not in virtual_users.NOT_FINAL and isinstance(answer.body, dict) else None

    return await retry(ask)


async def _buyer(environment: Environment) -> Created:
    [member] = virtual_users.members(environment.fleet, 1)
    return await order(environment, member)


async def _ready_to_pay(environment: Environment) -> Created:
    """A payment whose creation is over and done: what it set off is no part of what follows."""
    created = await _buyer(environment)
    await invariants.until_quiet(environment.fleet.description, RETRY_SECONDS_MAX)
    return created


async def _pay(environment: Environment, created: Created, **how: Any) -> None:
    await virtual_users.pay_order(environment.fleet, created.order_id, **how)
    environment.history.paid_orders.append(created.order_id)


async def _status(environment: Environment, created: Created) -> str:
    async with environment.db() as db:
        status: str = await db.fetchval("select status from payment.payments where order_id = $1", created.order_id)
        return status


async def _until_status(environment: Environment, created: Created, wanted: str) -> None:
    async def look() -> bool | None:
        return True if await _status(environment, created) == wanted else None

    await journey.until(look, f"{wanted} of {created.payment_id}", RETRY_SECONDS_MAX)


@use_case("create", "payment", "fraud", "reconciler", "ledger")
async def _(environment: Environment) -> AsyncIterator[None]:
    """A member creates a payment."""
    yield
    created = await _buyer(environment)
    yield
    environment.expect(await _status(environment, created) == "PENDING", "the payment waits to be paid")
    # Else the sweep would ask about it during everything that follows.
    await _at_the_edge(environment, created, f"/api/v1/payments/{created.payment_id}/cancel")
    await invariants.until_quiet(environment.fleet.description, RETRY_SECONDS_MAX)


@use_case("settle", *ALL)
async def _(environment: Environment) -> AsyncIterator[None]:
    """The customer pays, the gateway's webhook says so: success, grant, journals, invoice, mail, figures."""
    created = await _ready_to_pay(environment)
    yield
    await _pay(environment, created)
    yield
    mails = {mail["subject"] for mail in await environment.fleet.mails(to=created.member.email)}
    environment.expect(len(mails) == 1, f"one mail, however often it was taken (were {mails})")


@use_case("verify", "payment")
async def _(environment: Environment) -> AsyncIterator[None]:
    """The customer pays, the webhook is lost, and the page asks."""
    created = await _ready_to_pay(environment)
    await environment.gateway(action="drop", operation="webhook", order_id=created.order_id)
    yield
    await _pay(environment, created)
    await _at_the_edge(environment, created, "/api/v1/payments/verify", {"orderId": created.order_id})
    yield


@use_case("sweep", "payment")
async def _(environment: Environment) -> AsyncIterator[None]:
    """The customer pays, the webhook is lost, nobody asks: the sweep does."""
    created = await _ready_to_pay(environment)
    await environment.gateway(action="drop", operation="webhook", order_id=created.order_id)
    yield
    await _pay(environment, created)
    await _until_status(environment, created, "SUCCESS")
    yield


@use_case("expire", "payment", "webhook-ingest", "fraud", "notifier")
async def _(environment: Environment) -> AsyncIterator[None]:
    """An attempt fails, then the order closes unpaid: the payment has failed. Untried, it would have expired."""
    created = await _ready_to_pay(environment)
    yield
    await virtual_users.pay_order(environment.fleet, created.order_id, outcome="failure")
    await environment.fleet.sandbox("POST", f"/control/orders/{created.order_id}/expire", {})
    await _until_status(environment, created, "FAILED")
    yield


@use_case("cancel", "payment")
async def _(environment: Environment) -> AsyncIterator[None]:
    """The member cancels; the gateway closes the order."""
    created = await _ready_to_pay(environment)
    yield
    answer = await _at_the_edge(environment, created, f"/api/v1/payments/{created.payment_id}/cancel")
    environment.expect(answer.status == 200, f"cancelled (was answered {answer.status} {answer.data})")
    yield
    environment.expect(await _status(environment, created) == "CANCELLED", "the payment is cancelled")


@use_case("second-capture", "payment", "webhook-ingest", "notifier")
async def _(environment: Environment) -> AsyncIterator[None]:
    """The gateway captures twice."""
    created = await _ready_to_pay(environment)
    yield
    await _pay(environment, created, outcome="success_twice")
    yield
    async with environment.db() as db:
        noted = await db.fetchval(
            "select count(*) from payment.transactions t join payment.payments p on p.id = t.payment_id"
            " where p.order_id = $1 and t.status = 'DUPLICATE'",
            created.order_id,
        )
    environment.expect(noted == 1, f"the second capture is noted once (was {noted})")


@use_case("wrong-amount", "payment", "notifier")
async def _(environment: Environment) -> AsyncIterator[None]:
    """The gateway captures a rupee less than was ordered."""
    created = await _ready_to_pay(environment)
    yield
    await virtual_users.pay_order(environment.fleet, created.order_id, outcome="amount_mismatch")
    yield
    async with environment.db() as db:
        review = await db.fetchval("select review from payment.payments where order_id = $1", created.order_id)
    environment.expect(review == "QUARANTINED", f"the payment is quarantined (is {review})")


@use_case("consume", "wallet", "ledger")
async def _(environment: Environment) -> AsyncIterator[None]:
    """A member spends credits by gRPC."""
    member, key = environment.spenders[0], f"crash-{secrets.token_hex(8)}"
    yield

    async def ask() -> str | None:
        return (await journey.consume(environment.fleet, member.user_id, 3, key)).transaction_id

    environment.history.consumed[key] = await retry(ask)
    yield


@use_case("consume-later", "wallet")
async def _(environment: Environment) -> AsyncIterator[None]:
    """Another system asks for credits that are not there yet: the request is retried until they are."""
    created, key = await _ready_to_pay(environment), f"crash-{secrets.token_hex(8)}"
    yield
    body = requested(consumption(created.member, 100, key))
    await request_consumption(environment, body)
    await asyncio.sleep(0.5)
    await _pay(environment, created)
    yield
    await _spent_once(environment, key)


async def _spent_once(environment: Environment, key: str) -> None:
    async with environment.db() as db:
        count = await db.fetchval("select count(*) from wallet.wallet_transactions where operation_key = $1", key)
    environment.expect(count == 1, f"{key} is carried out once (was {count})")


@use_case("dead-letter", "wallet", "notifier")
async def _(environment: Environment) -> AsyncIterator[None]:
    """A request that can never be met becomes a dead letter, is replayed, becomes one again, and is discarded."""
    yield
    wrong = consumption(environment.spenders[0], 0, f"crash-{secrets.token_hex(8)}")
    body = requested(wrong)
    await request_consumption(environment, body)
    first = await retry(lambda: _letters(environment, "OPEN"))
    await retry(lambda: _closed(environment, "ReplayDeadLetters", delivery_pb2.ReplayDeadLettersRequest, first))
    second = await retry(lambda: _letters(environment, "OPEN"))
    await retry(lambda: _closed(environment, "DiscardDeadLetters", delivery_pb2.DiscardDeadLettersRequest, second))
    yield
    async with environment.db() as db:
        kept = await db.fetch("select status from wallet.dead_letters where event = $1", _event(body))
    found = sorted(row["status"] for row in kept)
    environment.expect(
        found == ["DISCARDED", "REPLAYED"], f"two dead letters, one replayed, one discarded (were {found})"
    )


def _event(body: bytes) -> bytes:
    from commdesk.common.v1.common_pb2 import Envelope

    return bytes(Envelope.FromString(body).events[0])


async def _letters(environment: Environment, status: str) -> list[str] | None:
    request = delivery_pb2.ListDeadLettersRequest(queue="wallet.debit", status=status)
    answer = await environment.fleet.delivery("wallet").ListDeadLetters(request, timeout=5)
    return [letter.id for letter in answer.dead_letters] or None


async def _closed(environment: Environment, method: str, request: Any, letters: list[str]) -> bool | None:
    """True once none of these is open, however it was closed."""
    asked = request(ids=letters, actor="faults", reason="a crash point")
    await getattr(environment.fleet.delivery("wallet"), method)(asked, timeout=5)
    still_open = await _letters(environment, "OPEN") or []
    return None if set(letters) & set(still_open) else True


@use_case("announce-again", "reconciler", "payment", "wallet")
async def _(environment: Environment) -> AsyncIterator[None]:
    """A queue is lost with a success in it; the reconciler finds out and has it announced again."""
    created = await _ready_to_pay(environment)
    await environment.gateway(action="drop", operation="webhook", order_id=created.order_id)
    async with environment.broker() as channel:
        await channel.queue_delete("wallet.credit")
        await _pay(environment, created)
        await _at_the_edge(environment, created, "/api/v1/payments/verify", {"orderId": created.order_id})
        await asyncio.sleep(1)
        await topology.declare(channel, environment.fleet.description["retry_schedule_ms"])
    await asyncio.sleep(TOLERANCE_SECONDS + 0.5)
    yield

    async def reconciled() -> bool | None:
        await environment.fleet.reconciler().Run(reconciler_pb2.RunRequest(actor="faults"), timeout=20)
        await asyncio.sleep(0.5)
        return True if await _granted(environment, created) else None

    await retry(reconciled)
    yield


# How long an envelope may be on its way before the reconciler takes it for lost.
TOLERANCE_SECONDS = 2


async def _granted(environment: Environment, created: Created) -> bool:
    async with environment.db() as db:
        return bool(
            await db.fetchval(
                "select exists (select from wallet.wallet_transactions where type = 'GRANT' and source_id = $1)",
                created.payment_id,
            )
        )


@use_case("sign-up", "identity")
async def _(environment: Environment) -> AsyncIterator[None]:
    """Somebody signs up and in."""
    email, password = f"crash.{secrets.token_hex(6)}@example.com", secrets.token_urlsafe(12)
    account = {
        "email": email,
        "name": "Asha Rao",
        "password": password,
        "confirmPassword": password,
        "mobileNumber": "9876543210",
        "countryCode": "+91",
        "type": "USER",
    }
    yield

    async def post(path: str, body: Any, *final: int) -> Answer:
        async def ask() -> Answer | None:
            answer = await environment.fleet.edge("POST", f"/api/v1/users/{path}", body)
            return answer if answer.status in final else None

        return await retry(ask)

    await post("signup", account, 202)
    answer = await post("login", {"email": email, "password": password}, 200)
    environment.expect(answer.data["user"]["email"] == email, "who signed up can sign in")
    yield
    async with environment.db() as db:
        count = await db.fetchval(
            "select count(*) from identity.users u join identity.users mine using (merchant_id, email_index)"
            " where mine.user_id = $1",
            ids.decode("usr", answer.data["user"]["_id"]),
        )
    environment.expect(count == 1, f"one account for an address (were {count})")
