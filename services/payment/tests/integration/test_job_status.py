"""GET /api/v1/test/jobs/status: three queues of jobs as S003 has them."""

import httpx
import pytest

from common.settings import read as read_settings
from payment.settings import Settings

from .world import World


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("TEST_MODE", "true")
    return read_settings(Settings)


async def queues(world: World) -> dict[str, dict[str, int | str]]:
    """Nobody is signed in."""
    response: httpx.Response = await world.http.get("/api/v1/test/jobs/status")
    assert response.status_code == 200, response.text
    document: dict[str, dict[str, int | str]] = response.json()["data"]
    return document


async def test_jobs_are_counted_by_queue(world: World) -> None:
    assert (await queues(world))["payments"] == {
        "job": "ProcessPaymentJob", "pending": 0, "processing": 0, "completed": 0, "failed": 0
    }  # fmt: skip
    data = await world.created()
    await world.fault(action="error", operation="create_order", status=500, count=1)
    assert (await world.create()).status_code == 202
    await world.pay(data["orderId"])
    await world.deliver(world.hooks[-1])
    await world.http.post(
        f"/api/v1/payments/{data['paymentId']}/refunds",
        json={"reason": "the customer asked"},
        headers=world.auth("usr_finance", "FINANCE"),
    )
    seen = await queues(world)
    payments, refunds = seen["payments"], seen["refunds"]
    assert payments["completed"] == 1
    assert int(payments["pending"]) + int(payments["processing"]) == 1
    assert sum(int(refunds[each]) for each in ("pending", "processing", "completed")) == 1
    assert seen["workerStatus"] == "running"
