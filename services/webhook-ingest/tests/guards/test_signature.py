"""The guard SIGNATURE carries weight: without it anybody's webhook is announced."""

from collections.abc import Callable

import pytest

from common.database import Database
from common.guards import SIGNATURE, Guards
from common.testing import Served, published

PATH = "/api/v1/webhooks/cashfree"


@pytest.fixture(params=[True, False], ids=["with the guard", "without"])
def is_guarded(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def guards(is_guarded: bool) -> Guards:
    return Guards.all() if is_guarded else Guards.all().without(SIGNATURE)


async def test_a_forged_webhook_gets_in_without_the_guard_only(
    db: Database,
    ingest: Served,
    payment_body: Callable[..., bytes],
    signed: Callable[..., dict[str, str]],
    is_guarded: bool,
) -> None:
    body = payment_body()
    forged = signed(body) | {"x-webhook-signature": "x" * 44}
    answer = await ingest.http.post(PATH, content=body, headers=forged)
    assert answer.status_code == (401 if is_guarded else 200)
    assert len(await published(db)) == (0 if is_guarded else 1)
