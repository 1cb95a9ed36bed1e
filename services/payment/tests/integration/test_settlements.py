"""What the gateway paid out: imported page by page, booked by what changed, told to the payments, shown to FINANCE."""

import asyncio
from typing import Any

import pytest

from commdesk.payment.v1 import settlements_pb2 as pb
from commdesk.payment.v1.settlements_pb2_grpc import SettlementServiceStub
from common.events import micros

from .world import World

SETTLEMENTS = "/api/v1/settlements"


async def settle(world: World, **command: Any) -> str:
    response = await world.sandbox.post("/control/settlements", json=command)
    assert response.status_code == 201, response.text
    return str(response.json()["cf_settlement_id"])


async def move(world: World, gateway_id: str, **command: Any) -> None:
    response = await world.sandbox.post(f"/control/settlements/{gateway_id}", json=command)
    assert response.status_code == 200, response.text


async def paid(world: World, number: int = 1) -> list[dict[str, Any]]:
    made = [await world.created() for _ in range(number)]
    for data in made:
        await world.pay(data["orderId"])
    await world.deliver(*world.hooks)
    world.hooks.clear()
    return made


async def due(world: World) -> None:
    """Let the import be due again, as after its time."""
    async with world.db.begin() as tx:
        await tx.execute("update settlement_imports set due_at = '2000-01-01', leased_until = null")


async def imported(world: World) -> list[Any]:
    await due(world)
    await world.run_job("settlement_imports")
    return await world.announced("settlement.imported")


async def statuses(world: World) -> list[tuple[str, str]]:
    rows = await world.rows("select status, settlement_status from payments order by id")
    return [(row.status, row.settlement_status) for row in rows]


async def test_a_settlement_is_imported_once_with_its_rows_and_told_to_its_payments(world: World) -> None:
    await paid(world, 2)
    gateway_id = await settle(world)
    [event] = await imported(world)
    assert event.settlement.gateway_settlement_id == gateway_id
    assert (event.gross_minor, event.fee_minor, event.fee_tax_minor) == (100_000, 1_900, 342)
    assert (event.net_minor, event.adjustment_minor, event.settlement.seq) == (97_758, 0, 1)
    assert event.settlement.status == "SETTLED"
    assert event.settlement.merchant_id == "mer_commdesk"
    assert await statuses(world) == [("SETTLED", "SETTLED")] * 2
    settled = await world.announced("payment.settled")
    assert [(each.net_minor, each.utr) for each in settled] == [(48_879, event.settlement.utr)] * 2
    # Whatever is imported again: nothing is new.
    assert await imported(world) == [event]
    assert len(await world.announced("payment.settled")) == 2
    assert [row.number for row in await world.rows("select count(*) as number from settlement_rows")] == [2]
    assert await world.rows("select 1 from payment_history where to_status = 'SETTLED' group by payment_id") != []


async def test_a_job_that_is_not_due_or_leased_reads_nothing(world: World) -> None:
    await paid(world)
    await settle(world)
    assert await world.run_job("settlement_imports") == 2
    assert await world.run_job("settlement_imports") == 0
    await due(world)
    await asyncio.gather(*(world.run_job("settlement_imports") for _ in range(5)))
    assert len(await world.announced("settlement.imported")) == 1


async def test_a_settlement_on_its_way_is_booked_when_it_arrives_and_back_when_it_is_reversed(world: World) -> None:
    await paid(world)
    gateway_id = await settle(world, status="PENDING")
    assert await imported(world) == []
    assert await statuses(world) == [("SUCCESS", "NONE")]
    await move(world, gateway_id, status="FAILED")
    assert await imported(world) == []
    assert await statuses(world) == [("SUCCESS", "ON_HOLD")]
    await move(world, gateway_id, status="SUCCESS")
    [arrived] = await imported(world)
    assert (arrived.net_minor, arrived.settlement.seq) == (48_879, 3)
    assert await statuses(world) == [("SETTLED", "SETTLED")]
    await move(world, gateway_id, status="REVERSED")
    back = (await imported(world))[-1]
    assert (back.gross_minor, back.net_minor, back.settlement.seq) == (-50_000, -48_879, 4)
    assert await statuses(world) == [("SETTLED", "REVERSED")]
    # Paid out again with a deduction: a new UTR, one more row, and what is booked is what came.
    await move(world, gateway_id, status="SUCCESS", adjustment_paise=-1_000)
    again = (await imported(world))[-1]
    assert (again.net_minor, again.adjustment_minor) == (47_879, 1_000)
    assert again.settlement.utr != arrived.settlement.utr
    await move(world, gateway_id, adjustment_paise=-500)
    corrected = (await imported(world))[-1]
    assert (corrected.gross_minor, corrected.net_minor, corrected.adjustment_minor) == (0, -500, 500)
    kinds = await world.rows("select kind, count(*) as number from settlement_rows group by kind order by kind")
    assert [(row.kind, row.number) for row in kinds] == [("ADJUSTMENT", 2), ("PAYMENT", 1)]


async def test_rows_of_orders_that_are_not_ours_are_kept(world: World) -> None:
    [mine] = await paid(world)
    await settle(world, faults=[{"kind": "foreign", "order_id": "somebody-elses"}])
    await imported(world)
    rows = await world.rows("select order_id, payment_id from settlement_rows order by order_id")
    assert {(row.order_id, row.payment_id is None) for row in rows} == {
        (mine["orderId"], False),
        ("somebody-elses", True),
    }


async def test_a_row_that_contradicts_what_is_kept_raises_one_alert_and_holds_up_nothing(world: World) -> None:
    await paid(world, 3)
    gateway_id = await settle(world)
    await imported(world)
    async with world.db.begin() as tx:
        await tx.execute(
            "update settlement_rows set fee_minor = 1, net_minor = amount_minor - 1 - fee_tax_minor where id = "
            "(select id from settlement_rows order by id limit 1)"
        )
    for _ in range(2):
        await move(world, gateway_id, adjustment_paise=-100)
        await imported(world)
    alerts = [each for each in await world.announced("email.admin.alert") if each.cause == "settlement_row_conflict"]
    assert len(alerts) == 1
    assert alerts[0].fields["gatewaySettlementId"] == gateway_id
    assert len(await world.rows("select 1 from settlement_rows where kind = 'ADJUSTMENT'")) == 2
    [row] = await world.rows("select fee_minor from settlement_rows where kind = 'PAYMENT' order by id limit 1")
    assert row.fee_minor == 1


async def test_an_import_goes_on_where_it_was_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway fails in the middle, again and again; in the end everything is there once."""
    monkeypatch.setattr("gateways.cashfree.settlements._PAGE_ROWS", 10)
    await paid(world, 13)
    await settle(world)
    for _ in range(11):
        await settle(world, adjustment_paise=-100)
    await world.fault(operation="get_settlements", action="error", status=500, probability=0.4)
    await world.fault(operation="get_settlement_rows", action="apply_then_error", status=503, probability=0.4)
    for _ in range(60):
        await imported(world)
    assert [row.number for row in await world.rows("select count(*) as number from settlements")] == [12]
    assert [row.number for row in await world.rows("select count(*) as number from settlement_rows")] == [24]
    events = await world.announced("settlement.imported")
    assert sum(event.gross_minor for event in events) == 13 * 50_000
    assert sum(event.adjustment_minor for event in events) == 1_100
    assert await statuses(world) == [("SETTLED", "SETTLED")] * 13


async def test_an_import_stays_within_its_pages(world: World) -> None:
    await paid(world)
    for _ in range(12):
        await settle(world, adjustment_paise=-100)
    # 24 pages a minute are 6 a turn of 15 s: one of settlements, five of rows.
    assert await world.run_job("settlement_imports") == 12 + 6
    assert len(await world.rows("select 1 from settlements where rows_due")) == 7


async def test_a_webhook_about_a_settlement_lets_it_be_imported(world: World) -> None:
    await paid(world)
    await world.run_job("settlement_imports")
    await settle(world)
    await world.hooks_arrive(1)
    assert await world.run_job("settlement_imports") == 0
    await world.deliver(*world.hooks)
    [processed] = (await world.announced("webhook.cashfree.processed"))[-1:]
    assert (processed.outcome, processed.reason) == ("APPLIED", "import_requested")
    assert await world.run_job("settlement_imports") == 2
    assert len(await world.announced("settlement.imported")) == 1


async def test_a_refunded_payment_settles_too(world: World) -> None:
    await paid(world)
    async with world.db.begin() as tx:
        await tx.execute("update payments set status = 'REFUNDED'")
    await settle(world)
    await imported(world)
    assert await statuses(world) == [("REFUNDED", "SETTLED")]


async def test_finance_sees_settlements_of_its_merchant(world: World) -> None:
    await paid(world)
    await settle(world, adjustment_paise=-700)
    [event] = await imported(world)
    finance = world.auth("usr_finance", "FINANCE")
    listed = (await world.http.get(SETTLEMENTS, headers=finance)).json()["data"]
    [view] = listed["items"]
    assert (view["gross"], view["fee"], view["feeTax"], view["adjustment"], view["net"]) == (
        50_000,
        950,
        171,
        700,
        48_179,
    )
    assert (view["utr"], view["status"], view["isComplete"]) == (event.settlement.utr, "SETTLED", True)
    one = f"{SETTLEMENTS}/{view['settlementId']}"
    detail = (await world.http.get(one, headers=finance)).json()["data"]
    assert (detail["conflicts"], detail["unreadable"], detail["net"]) == (0, 0, 48_179)
    first = (await world.http.get(f"{one}/rows?limit=1", headers=finance)).json()["data"]
    rest = (await world.http.get(f"{one}/rows?cursor={first['nextCursor']}", headers=finance)).json()["data"]
    assert sorted(row["kind"] for row in first["items"] + rest["items"]) == ["ADJUSTMENT", "PAYMENT"]
    assert (await world.http.get(f"{SETTLEMENTS}?status=REVERSED", headers=finance)).json()["data"]["items"] == []
    assert (await world.http.get(SETTLEMENTS, headers=world.auth())).status_code == 403
    others = world.auth("usr_other", "FINANCE", merchant="mer_other")
    assert (await world.http.get(one, headers=others)).status_code == 404
    assert (await world.http.get(f"{one}/rows", headers=others)).status_code == 404
    assert (await world.http.get(f"{SETTLEMENTS}?cursor=x", headers=finance)).status_code == 400
    assert (await world.http.get(f"{SETTLEMENTS}/stl_x", headers=finance)).status_code == 400


async def test_the_reconciler_reads_settlements_rows_and_payments_in_pages(world: World) -> None:
    made = await paid(world, 3)
    unpaid = await world.created()
    await settle(world)
    await settle(world, adjustment_paise=-100)
    stub = SettlementServiceStub(world.channel())  # type: ignore[no-untyped-call]
    answer = await stub.ImportSettlements(pb.ImportSettlementsRequest(days=2), timeout=10)
    assert (answer.settlements, answer.rows, answer.is_complete) == (2, 4, True)
    listed, cursor = [], ""
    while True:
        page = await stub.ListSettlements(pb.ListSettlementsRequest(limit=1, cursor=cursor), timeout=10)
        listed += page.settlements
        cursor = page.next_cursor
        if not cursor:
            break
    assert len({each.settlement_id for each in listed}) == len(listed) == 2
    assert all(each.is_complete for each in listed)
    rows, cursor = [], ""
    while True:
        request = pb.ListSettlementRowsRequest(
            settlement_ids=[each.settlement_id for each in listed], limit=3, cursor=cursor
        )
        answer = await stub.ListSettlementRows(request, timeout=10)
        rows += answer.rows
        cursor = answer.next_cursor
        if not cursor:
            break
    assert len({(row.settlement_id, row.row_id) for row in rows}) == len(rows) == 4
    of_payments = await stub.ListSettlementRows(
        pb.ListSettlementRowsRequest(payment_ids=[each["paymentId"] for each in made]), timeout=10
    )
    assert {row.payment_id for row in of_payments.rows} == {each["paymentId"] for each in made}
    records, cursor = {}, ""
    while True:
        window = pb.ListPaymentRecordsRequest(
            changed_from_unix_micros=micros(world.clock.now()) - 10**9,
            changed_to_unix_micros=micros(world.clock.now()) + 10**9,
            limit=2,
            cursor=cursor,
        )
        found = await stub.ListPaymentRecords(window, timeout=10)
        records |= {record.payment.payment_id: record for record in found.records}
        cursor = found.next_cursor
        if not cursor:
            break
    assert records.keys() == {each["paymentId"] for each in [*made, unpaid]}
    record = records[made[0]["paymentId"]]
    assert (record.settlement_status, record.account_id, record.refunded_minor) == ("SETTLED", "gwa_cashfree", 0)
    assert record.paid_unix_micros > 0
    assert record.webhook_unix_micros > 0
    assert records[unpaid["paymentId"]].webhook_unix_micros == 0
    named = await stub.ListPaymentRecords(pb.ListPaymentRecordsRequest(payment_ids=[made[1]["paymentId"]]), timeout=10)
    assert [each.payment.payment_id for each in named.records] == [made[1]["paymentId"]]


async def test_a_second_capture_is_seen_as_unapplied_and_its_row_settles_nothing(world: World) -> None:
    [made] = await paid(world)
    await world.pay(made["orderId"], force=True)
    await world.deliver(*world.hooks)
    await world.run_syncs()
    await settle(world)
    await imported(world)
    assert len(await world.announced("payment.settled")) == 1
    stub = SettlementServiceStub(world.channel())  # type: ignore[no-untyped-call]
    found = await stub.ListPaymentRecords(pb.ListPaymentRecordsRequest(payment_ids=[made["paymentId"]]), timeout=10)
    assert [record.unapplied_minor for record in found.records] == [50_000]
