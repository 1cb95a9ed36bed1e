"""What an operator finds of one payment: its ids in the logs of every service that it passed, and in the audit log."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from commdesk.ledger.v1 import ledger_pb2
from common.database_urls import database_url
from ops import journey
from ops.fleet_client import FleetClient
from ops.ports import Layout
from ops.virtual_users import create_with_retries, members, pay_order

SERVICES = {"payment", "fraud", "wallet", "ledger", "notifier", "reconciler", "webhook-ingest"}


def lines_about(logs: Path, word: str) -> dict[str, list[dict[str, Any]]]:
    """The log lines that hold *word*, by service."""
    found: dict[str, list[dict[str, Any]]] = {}
    for service in SERVICES:
        for path in logs.glob(f"{service}*.log"):
            with path.open(errors="replace") as lines:
                found.setdefault(service, []).extend(json.loads(line) for line in lines if word in line)
    return {service: lines for service, lines in found.items() if lines}


async def test_one_payments_ids_are_in_the_logs_of_every_service_that_it_passes(
    fleet: FleetClient, layout: Layout
) -> None:
    [member] = members(fleet, 1)
    correlation_id = f"cor-{member.user_id}"
    created = await fleet.edge(
        "POST",
        "/api/v1/payments/create",
        {"packId": "pack_500"},
        token=member.token,
        headers={"Idempotency-Key": "correlated", "X-Correlation-Id": correlation_id},
    )
    assert created.status == 201, created.body
    payment_id, order_id = created.data["paymentId"], created.data["orderId"]
    await pay_order(fleet, order_id)
    await journey.until_success(fleet, member, payment_id)

    async def mailed() -> Any:
        return await fleet.mails(to=member.email) or None

    await journey.until(mailed, "the mail")

    async def logged() -> Any:
        found = lines_about(layout.logs, correlation_id)
        return found if found.keys() >= SERVICES else None

    found = await journey.until(logged, "lines of every service")
    [line] = [line for line in found["payment"] if line.get("route") == "/api/v1/payments/create"]
    assert (line["paymentId"], line["orderId"], line["userId"]) == (payment_id, order_id, member.user_id)
    for service in ("wallet", "ledger", "notifier", "reconciler"):
        alone = [line for line in found[service] if line.get("message") == "batch" and "links" not in line]
        about = {line["paymentId"] for line in alone} | {
            each for line in found[service] for each in line.get("paymentIds", ())
        }
        assert payment_id in about, service
    assert all(line["traceId"] for lines in found.values() for line in lines)
    assert member.email not in json.dumps(found), "no personal data in any line"

    request = ledger_pb2.ListAuditRequest(resource_id=payment_id)
    entries = (await fleet.ledger().ListAudit(request, timeout=10)).entries
    assert {entry.action for entry in entries} >= {"payment.create"}
    assert {entry.correlation_id for entry in entries} == {correlation_id}
    # Money that moved is audited by its journal.
    of_payment = ledger_pb2.ListJournalsRequest(reference=payment_id)

    async def booked() -> Any:
        journals = (await fleet.ledger().ListJournals(of_payment, timeout=10)).journals
        return {each.template for each in journals} >= {"payment.success"} or None

    await journey.until(booked, "the journal of the payment")


async def lag_seconds(layout: Layout, service: str, queue: str) -> float:
    url = f"http://127.0.0.1:{layout.http_port(service)}/metrics"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        text = await answer.text()
    [value] = re.findall(rf'^commdesk_queue_lag_seconds{{queue="{re.escape(queue)}"}} (\S+)$', text, re.MULTILINE)
    return float(value)


async def test_the_lag_of_a_queue_grows_while_its_consumer_stands_still(fleet: FleetClient, layout: Layout) -> None:
    [member] = members(fleet, 1)
    created = (await create_with_retries(fleet, member, "stuck-1")).data
    postgresql = fleet.description["postgresql"]
    connection = await asyncpg.connect(database_url(postgresql["superuser_url"], postgresql["database"]))
    try:
        async with connection.transaction():
            await connection.execute("lock table wallet.credit_lots in exclusive mode")
            await pay_order(fleet, created["orderId"])

            async def stuck() -> float | None:
                lag = await lag_seconds(layout, "wallet", "wallet.credit")
                return lag if lag > 0.5 else None

            before = await journey.until(stuck, "a lag")
            await asyncio.sleep(2)
            assert await lag_seconds(layout, "wallet", "wallet.credit") >= before + 1.9
    finally:
        await connection.close()

    async def caught_up() -> bool | None:
        return await lag_seconds(layout, "wallet", "wallet.credit") == 0 or None

    await journey.until(caught_up, "no lag")
