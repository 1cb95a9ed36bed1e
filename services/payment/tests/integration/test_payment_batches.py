"""POST /payments/bulk: up to 500 requests, each with a result of its own, made while the caller asks for the batch."""

from typing import Any

import httpx

from common import ids

from .world import World

PATH = "/api/v1/payments/bulk"


async def start(world: World, payments: list[dict[str, Any]], key: str = "") -> httpx.Response:
    headers = world.auth() | ({"idempotency-key": key} if key else {})
    return await world.http.post(PATH, json={"payments": payments}, headers=headers)


async def read(world: World, batch_id: str, user: str = "usr_asha", **who: str) -> httpx.Response:
    return await world.http.get(f"{PATH}/{batch_id}", headers=world.auth(user, **who))


async def completed(world: World, batch_id: str) -> dict[str, Any]:
    await world.run_intents()
    data: dict[str, Any] = (await read(world, batch_id)).json()["data"]
    return data


async def test_each_item_has_its_result(world: World) -> None:
    wanted: list[dict[str, Any]] = [
        {"amount": 50_000},
        {"packId": "pack_500", "description": "second"},
        {"packId": "pack_unknown"},
        {"amount": 50_000, "returnUrl": "javascript:alert(1)"},
    ]
    answer = await start(world, wanted)
    assert answer.status_code == 202, answer.text
    data = answer.json()["data"]
    assert (data["status"], data["total"], data["pending"], data["refused"]) == ("processing", 4, 3, 1)
    after = await completed(world, data["batchId"])
    assert (after["status"], after["created"], after["refused"]) == ("completed", 2, 2)
    assert [each["status"] for each in after["items"]] == ["created", "created", "refused", "refused"]
    assert [each.get("error", "") for each in after["items"]] == ["", "", "pack_unknown", "request_invalid"]
    second = (await world.get(f"/{after['items'][1]['paymentId']}")).json()["data"]
    assert (second["description"], second["amount"], second["status"]) == ("second", 50_000, "PENDING")
    # A done item keeps nothing of the customer.
    rows = await world.rows("select payload from intents where kind = 'bulk_payment'")
    assert {bytes(row.payload) for row in rows} == {b""}


async def test_an_item_whose_answer_is_not_known_is_tried_on_and_made_once(world: World) -> None:
    await world.fault(operation="create_order", action="apply_then_error", status=500, count=1)
    data = (await start(world, [{"amount": 50_000}])).json()["data"]
    for _ in range(3):
        await world.run_intents()
        world.clock.advance(60)
        await world.rows("update intents set due_at = now() where done_at is null returning intent_id")
    after = await completed(world, data["batchId"])
    assert (after["status"], after["created"]) == ("completed", 1)
    [row] = await world.rows("select count(*) as payments from payments")
    assert row.payments == 1


async def test_a_key_starts_one_batch(world: World) -> None:
    first, again = await start(world, [{"amount": 50_000}], "b-1"), await start(world, [{"amount": 50_000}], "b-1")
    assert (first.content, again.headers["idempotent-replayed"]) == (again.content, "true")
    other = await start(world, [{"amount": 60_000}], "b-1")
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")


async def test_a_batch_has_bounds_and_an_owner(world: World) -> None:
    assert (await start(world, [])).status_code == 400
    assert (await start(world, [{"amount": 50_000}] * 501)).status_code == 400
    assert (await start(world, [{"amount": 50_000, "unknown": 1}])).status_code == 400
    full = await start(world, [{"amount": 50_000}] * 500)
    assert (full.status_code, full.json()["data"]["total"]) == (202, 500)
    batch_id = full.json()["data"]["batchId"]
    assert (await read(world, batch_id, "usr_ravi")).status_code == 404
    assert (await read(world, batch_id, merchant="mer_other")).status_code == 404
    assert (await read(world, ids.encode("bat", ids.new()))).status_code == 404
