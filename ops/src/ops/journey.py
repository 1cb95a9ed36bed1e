"""One member's way through the product, step by step through the public edge: sign up, buy, pay, have, spend."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from msgspec import Struct

from commdesk.wallet.v1 import wallet_pb2
from ops.fleet_client import Answer, FleetClient

T = TypeVar("T")

MERCHANT = "mer_commdesk"
STEP_SECONDS = 30.0


class StepFailed(Exception):
    """A step of the journey did not come out; the message says which and what was answered."""


class Member(Struct, frozen=True):
    """Somebody who is signed in."""

    user_id: str
    email: str
    token: str


def _expect(answer: Answer, *statuses: int) -> Any:
    if answer.status not in statuses:
        raise StepFailed(f"expected {statuses}, was answered {answer.status}: {answer.body}")
    return answer.data


async def until(look: Callable[[], Awaitable[T | None]], what: str, seconds: float = STEP_SECONDS) -> T:
    """The first result that is not None. Raises StepFailed when there is none in time."""
    ends = time.monotonic() + seconds
    while True:
        result = await look()
        if result is not None:
            return result
        if time.monotonic() > ends:
            raise StepFailed(f"{what} did not happen within {seconds:.0f} s")
        await asyncio.sleep(0.02)


async def sign_up(fleet: FleetClient, name: str = "Asha Rao") -> Member:
    """A new member with a token."""
    email = f"asha.{secrets.token_hex(6)}@example.com"
    password = secrets.token_urlsafe(12)
    _expect(
        await fleet.edge(
            "POST",
            "/api/v1/users/signup",
            {
                "email": email,
                "name": name,
                "password": password,
                "confirmPassword": password,
                "mobileNumber": "9876543210",
                "countryCode": "+91",
                "type": "USER",
            },
        ),
        202,
    )
    data = _expect(await fleet.edge("POST", "/api/v1/users/login", {"email": email, "password": password}), 200)
    return Member(data["user"]["_id"], email, data["token"])


async def create(fleet: FleetClient, member: Member, *, pack_id: str, key: str = "") -> dict[str, Any]:
    """An order for a pack; the answer of the create call."""
    body = {"packId": pack_id, "customerEmail": member.email}
    headers = {"Idempotency-Key": key or secrets.token_hex(12)}
    data: dict[str, Any] = _expect(
        await fleet.edge("POST", "/api/v1/payments/create", body, token=member.token, headers=headers), 201
    )
    return data


async def pay(fleet: FleetClient, order_id: str, *, method: str = "upi", outcome: str = "success") -> dict[str, Any]:
    """The customer pays at the gateway; its answer after the webhook was answered."""
    data: dict[str, Any] = _expect(
        await fleet.sandbox(
            "POST", f"/control/orders/{order_id}/pay", {"method": method, "outcome": outcome, "wait": True}
        ),
        200,
    )
    return data


async def status(fleet: FleetClient, member: Member, payment_id: str) -> dict[str, Any]:
    data: dict[str, Any] = _expect(await fleet.edge("GET", f"/api/v1/payments/{payment_id}", token=member.token), 200)
    return data


async def until_success(fleet: FleetClient, member: Member, payment_id: str) -> dict[str, Any]:
    """The payment once it is SUCCESS."""

    async def look() -> dict[str, Any] | None:
        payment = await status(fleet, member, payment_id)
        return payment if payment["status"] == "SUCCESS" else None

    return await until(look, f"SUCCESS of {payment_id}")


async def wallet(fleet: FleetClient, user_id: str) -> wallet_pb2.Wallet:
    owner = wallet_pb2.Owner(merchant_id=MERCHANT, kind="USER", id=user_id)
    answer = await fleet.wallet().GetWallets(wallet_pb2.GetWalletsRequest(owners=[owner]), timeout=5)
    return answer.wallets[0] if answer.wallets else wallet_pb2.Wallet(owner=owner)


async def transactions(fleet: FleetClient, user_id: str) -> list[wallet_pb2.WalletTransaction]:
    """Newest first."""
    owner = wallet_pb2.Owner(merchant_id=MERCHANT, kind="USER", id=user_id)
    request = wallet_pb2.ListTransactionsRequest(owner=owner, limit=50)
    return list((await fleet.wallet().ListTransactions(request, timeout=5)).transactions)


async def consume(fleet: FleetClient, user_id: str, credits: int, key: str) -> wallet_pb2.WalletTransaction:
    """Spend credits on the platform. Raises StepFailed when it is refused."""
    item = wallet_pb2.Consumption(
        operation_key=key,
        owner=wallet_pb2.Owner(merchant_id=MERCHANT, kind="USER", id=user_id),
        credits=credits,
        purpose="platform.boost",
        source_id=key,
    )
    answer = await fleet.wallet().ConsumeCredits(wallet_pb2.ConsumeCreditsRequest(items=[item]), timeout=5)
    [result] = answer.results
    if result.HasField("error"):
        raise StepFailed(f"{result.error.code}: {result.error.message}")
    transaction: wallet_pb2.WalletTransaction = result.transaction
    return transaction
