"""Merchants' own gateway accounts: payment tells who they are and which secrets verify their webhooks."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
import pytest_asyncio

from commdesk.payment.v1 import payment_pb2 as pb
from commdesk.payment.v1 import payment_pb2_grpc
from common import ids
from common.database import Database
from common.runtime import Resources, Service
from common.settings import read
from common.testing import Served, published
from gateways.cashfree import testing
from webhook_ingest.__main__ import service
from webhook_ingest.settings import Settings

Body = Callable[..., bytes]
Headers = Callable[..., dict[str, str]]

FIRST, SECOND = "cfsk_ma_test_first", "cfsk_ma_test_second"


class Payment(payment_pb2_grpc.PaymentServiceServicer):
    """Tells of the accounts that a test set."""

    def __init__(self) -> None:
        self.accounts: dict[str, list[str]] = {}
        self.is_away = False
        self.calls = 0

    async def ListGatewayAccounts(self, request: pb.ListGatewayAccountsRequest, context: Any) -> Any:
        self.calls += 1
        if self.is_away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        return pb.ListGatewayAccountsResponse(
            accounts=[
                pb.WebhookAccount(gateway_account_id=each, merchant_id="mer_a", gateway="cashfree", webhook_secrets=own)
                for each, own in self.accounts.items()
            ]
        )


@pytest_asyncio.fixture
async def payment(service_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Payment]:
    """On a port of its own."""
    payment, server = Payment(), grpc.aio.server()
    payment_pb2_grpc.add_PaymentServiceServicer_to_server(payment, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    monkeypatch.setenv("CASHFREE_WEBHOOK_SECRET", testing.SECRET)
    monkeypatch.setenv("PAYMENT_ADDRESS", f"127.0.0.1:{port}")
    await server.start()
    yield payment
    await server.stop(0)


@pytest_asyncio.fixture
async def served(
    payment: Payment, resources: Resources, serve: Callable[[Service], Any], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Served]:
    monkeypatch.setattr("webhook_ingest.gateways.accounts.ASK_AGAIN_SECONDS", 0.0)
    async with service(read(Settings), resources) as value, serve(value) as served:
        yield served


def account_id() -> str:
    return ids.encode("gwa", ids.new())


async def send(served: Served, account: str, body: bytes, headers: dict[str, str]) -> int:
    answer = await served.http.post(f"/api/v1/webhooks/cashfree/{account}", content=body, headers=headers)
    return int(answer.status_code)


async def test_each_account_takes_what_its_own_secret_signed(
    served: Served, payment: Payment, db: Database, payment_body: Body, signed: Headers
) -> None:
    """Two merchants' accounts and the platform's, the same bodies: no secret opens another's door."""
    one, other = account_id(), account_id()
    payment.accounts = {one: [FIRST], other: [SECOND]}
    bodies = [payment_body(f"{number}") for number in range(3)]
    statuses = {
        (account, secret): {await send(served, account, body, signed(body, secret=secret)) for body in bodies}
        for account in (one, other, "gwa_cashfree")
        for secret in (FIRST, SECOND, testing.SECRET)
    }
    own = {(one, FIRST), (other, SECOND), ("gwa_cashfree", testing.SECRET)}
    assert {key for key, codes in statuses.items() if codes == {200}} == own
    assert {key for key, codes in statuses.items() if codes == {401}} == statuses.keys() - own
    announced = [event for _, event in await published(db)]
    assert len(announced) == 9
    assert {event.gateway_account_id for event in announced} == {one, other, "gwa_cashfree"}  # type: ignore[attr-defined]


async def test_a_new_account_and_a_rotated_secret_are_known_at_once(
    served: Served, payment: Payment, payment_body: Body, signed: Headers
) -> None:
    account, body = account_id(), payment_body("1")
    assert await send(served, account, body, signed(body, secret=FIRST)) == 404
    payment.accounts = {account: [FIRST]}
    assert await send(served, account, body, signed(body, secret=FIRST)) == 200
    payment.accounts = {account: [SECOND, FIRST]}
    [job] = [job for job in served.service.jobs if job.name == "gateway_accounts"]
    await job.run()
    next_body = payment_body("2")
    assert await send(served, account, next_body, signed(next_body, secret=SECOND)) == 200
    last_body = payment_body("3")
    assert await send(served, account, last_body, signed(last_body, secret=FIRST)) == 200


async def test_the_last_list_stands_while_payment_is_away(
    served: Served, payment: Payment, payment_body: Body, signed: Headers
) -> None:
    account, body = account_id(), payment_body("1")
    payment.is_away = True
    # Nobody can say that there is no such account: the gateway is to send it again.
    assert await send(served, account, body, signed(body, secret=FIRST)) == 503
    # The platform's own need nobody.
    assert await send(served, "gwa_cashfree", body, signed(body)) == 200
    payment.is_away, payment.accounts = False, {account: [FIRST]}
    assert await send(served, account, body, signed(body, secret=FIRST)) == 200
    payment.is_away = True
    next_body = payment_body("2")
    assert await send(served, account, next_body, signed(next_body, secret=FIRST)) == 200
    assert await send(served, account_id(), next_body, signed(next_body, secret=FIRST)) == 404


async def test_what_is_no_id_of_a_merchants_account_is_not_asked_for(
    served: Served, payment: Payment, payment_body: Body, signed: Headers
) -> None:
    body, calls = payment_body("1"), payment.calls
    for account in ("gwa_other", "x-1", "gwa_" + "9" * 60):
        assert await send(served, account, body, signed(body, secret=FIRST)) == 404
    assert payment.calls == calls
