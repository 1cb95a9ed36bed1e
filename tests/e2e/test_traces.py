"""One request is one tree of spans, from the edge to the SQL of the consumers; what fails is kept without sampling."""

from typing import Any

from common import context
from ops import journey
from ops.fleet_client import FleetClient
from ops.virtual_users import fault, members, pay_order
from tests.otlp_receiver import Receiver, Span

CREATE = "/api/v1/payments/create"


async def create(fleet: FleetClient, token: str, key: str, traceparent: str) -> Any:
    return await fleet.edge(
        "POST",
        CREATE,
        {"packId": "pack_500"},
        token=token,
        headers={"Idempotency-Key": key, "traceparent": traceparent},
    )


def ancestors(span: Span, by_id: dict[str, Span]) -> list[str]:
    """The services above *span*, the nearest first."""
    found = []
    while span.parent_id in by_id:
        span = by_id[span.parent_id]
        found.append(span.service)
    return found


async def test_a_sampled_payment_is_one_tree_from_the_edge_to_the_consumers(
    fleet: FleetClient, traces: Receiver
) -> None:
    """The client makes the payment and has it verified; a webhook would be a trace of the gateway's."""
    [member] = members(fleet, 1)
    await fault(fleet, action="drop", operation="webhook")
    traceparent = context.new_traceparent(sampled=True)
    created = await create(fleet, member.token, "traced", traceparent)
    assert created.status == 201, created.body
    await pay_order(fleet, created.data["orderId"])
    verified = await fleet.edge(
        "POST",
        "/api/v1/payments/verify",
        {"paymentId": created.data["paymentId"]},
        token=member.token,
        headers={"traceparent": traceparent},
    )
    assert verified.status == 200, verified.body
    await journey.until_success(fleet, member, created.data["paymentId"])

    async def arrived() -> list[Span] | None:
        spans = traces.of(traceparent[3:35])
        names = {(span.service, span.name) for span in spans}
        wanted = {
            ("payment", f"POST {CREATE}"),
            ("fraud", "commdesk.fraud.v1.FraudService/Score"),
            ("payment", "outbox publish"),
            ("payment", "sql transaction"),
            ("wallet", "sql transaction"),
            ("ledger", "sql transaction"),
        }
        has_consumers = {service for service, name in names if name.endswith(" process")} >= {"wallet", "ledger"}
        # Each process sends its spans every few seconds: what is above one may come after it.
        is_whole = {span.parent_id for span in spans} <= {span.span_id for span in spans} | {traceparent[36:52], ""}
        return spans if names >= wanted and has_consumers and is_whole else None

    try:
        spans = await journey.until(arrived, "the spans of every part", seconds=60)
    except journey.StepFailed:
        print(*traces.of(traceparent[3:35]), sep="\n")
        raise
    by_id = {span.span_id: span for span in spans}
    [served] = [span for span in spans if span.name == f"POST {CREATE}"]
    assert ancestors(served, by_id)[-1] == "edge"
    [scored] = [span for span in spans if span.name.endswith("/Score")]
    assert ancestors(scored, by_id)[:1] == ["payment"]
    assert ancestors(scored, by_id)[-1] == "edge"
    sql = [span for span in spans if span.name == "sql transaction"]
    assert all(int(span.attributes["db.statements.count"]) >= 1 for span in sql)
    assert all(span.trace_id == traceparent[3:35] for span in spans if not span.links)


async def test_a_trace_that_is_not_sampled_sends_no_span(fleet: FleetClient, traces: Receiver) -> None:
    [member] = members(fleet, 1)
    traceparent = context.new_traceparent(sampled=False)
    created = await create(fleet, member.token, "not-traced", traceparent)
    assert created.status == 201, created.body
    await pay_order(fleet, created.data["orderId"])
    await journey.until_success(fleet, member, created.data["paymentId"])
    assert [span for span in traces.of(traceparent[3:35]) if not span.failed] == []
