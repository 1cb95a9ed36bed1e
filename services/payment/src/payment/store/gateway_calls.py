"""Calls to gateways: evidence for timelines, kept for seven days."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from common import ids
from common.database import Row, Tx
from gateways import GatewayCall
from payment.domain.orders import OrderKey

_ADD = """
insert into gateway_calls (id, gateway, gateway_account_id, operation, order_id, http_status, outcome, ms, at)
select * from unnest(cast(:ids as uuid[]), cast(:gateways as text[]), cast(:accounts as text[]),
    cast(:operations as text[]), cast(:orders as text[]), cast(:statuses as integer[]), cast(:outcomes as text[]),
    cast(:ms as real[]), cast(:ats as timestamptz[]))
"""
_OF_ORDER = """
select operation, http_status, outcome, ms, at from gateway_calls
where gateway_account_id = :gateway_account_id and order_id = :order_id order by at limit 200
"""


class RecordedCall(msgspec.Struct, frozen=True, gc=False):
    """A call and when it ended."""

    at: datetime
    call: GatewayCall


async def add_calls(tx: Tx, calls: Sequence[RecordedCall]) -> None:
    await tx.execute(
        _ADD,
        ids=[ids.new() for _ in calls],
        gateways=[each.call.gateway for each in calls],
        accounts=[each.call.account_id for each in calls],
        operations=[each.call.operation for each in calls],
        orders=[each.call.order_id for each in calls],
        statuses=[each.call.http_status for each in calls],
        outcomes=[each.call.outcome for each in calls],
        ms=[each.call.ms for each in calls],
        ats=[each.at for each in calls],
    )


async def delete_old_calls(tx: Tx) -> None:
    """Delete what is older than the database lets anybody delete; see migration 0008."""
    await tx.execute("select delete_old_gateway_calls()")


async def calls_of(tx: Tx, order: OrderKey) -> Sequence[Row]:
    rows = await tx.execute(_OF_ORDER, gateway_account_id=order.gateway_account_id, order_id=order.order_id)
    return rows.all()
