"""Nothing that comes in ends in a bug: see common.testing.hostile."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.database import Database
from common.testing import Served, hostile
from common.testing.hostile_tests import *  # noqa: F403

GENUINE = {
    "data": {
        "order": {"order_id": "ord_1", "order_amount": 170.0, "order_currency": "INR"},
        "payment": {"cf_payment_id": "1", "payment_status": "SUCCESS", "payment_time": "2026-04-01T15:30:00+05:30"},
    },
    "event_time": "2025-01-15T12:20:31+05:30",
    "type": "PAYMENT_SUCCESS_WEBHOOK",
}


@pytest.fixture
def served(ingest: Served) -> Served:
    return ingest


@hostile.examples
@given(st.data())
async def test_whatever_is_signed_is_stored(
    ingest: Served, db: Database, signed: Callable[..., dict[str, str]], data: st.DataObject
) -> None:
    """The gateway would send it again for hours; a body that cannot be read is parked for a person."""
    body = data.draw(hostile.mutated(GENUINE).map(hostile.encode) | hostile.bodies)
    response = await ingest.http.post("/api/v1/webhooks/cashfree", content=body, headers=signed(body))
    assert response.status_code == 200, response.text
    async with db.begin() as tx:
        rows = await tx.execute("select processing_status, event_time from webhook_logs where event_type is null")
    assert all(row.processing_status == "PARKED" for row in rows)
