"""The operations under /pg about what happens after a payment: settlements and disputes."""

from collections.abc import Callable, Mapping

import msgspec

from sandbox.cashfree import disputes, errors, settlement_entities
from sandbox.cashfree.calls import Call
from sandbox.cashfree.disputes import Disputes
from sandbox.cashfree.domain import Dispute, Order
from sandbox.cashfree.order_registry import OrderRegistry
from sandbox.cashfree.settlement_entities import matching, page, rendered
from sandbox.cashfree.settlements import Settlements


class Afterwards:
    """Reads settlements, what is due included, and disputes."""

    def __init__(self, orders: OrderRegistry, disputes_: Disputes, settlements: Settlements) -> None:
        self._orders = orders
        self._disputes = disputes_
        self._settlements = settlements

    def operations(self) -> Mapping[str, Callable[[Call], bytes]]:
        return {
            "get_settlements": self._get_settlements,
            "get_settlement_rows": self._get_settlement_rows,
            "get_order_settlement": self._get_order_settlement,
            "get_disputes": self._get_disputes,
            "get_dispute": self._get_dispute,
            "accept_dispute": self._accept_dispute,
        }

    def _get_settlements(self, call: Call) -> bytes:
        found = matching(call.payload, self._settlements.of_account(call.own), needs_filter=False)
        rows, cursor = page(call.payload, found)
        return rendered([settlement_entities.entity(each) for each in rows], cursor)

    def _get_settlement_rows(self, call: Call) -> bytes:
        found = matching(call.payload, self._settlements.of_account(call.own), needs_filter=True)
        events, cursor = page(call.payload, [(each, event) for each in found for event in each.events])
        rows = [settlement_entities.recon_row(each, event, self._orders.find(event.order_id)) for each, event in events]
        return rendered(rows, cursor)

    def _get_order_settlement(self, call: Call) -> bytes:
        order = self._orders.order(call.order_id, call.account)
        for each in self._settlements.of_account(call.own):
            for event in each.events:
                if event.order_id == order.order_id and event.event_type == "PAYMENT":
                    return msgspec.json.encode(settlement_entities.order_entity(each, event, order))
        raise errors.settlement_not_found()

    def _get_disputes(self, call: Call) -> bytes:
        order = self._orders.order(call.order_id, call.account)
        return msgspec.json.encode([disputes.entity(order, each) for each in order.disputes])

    def _get_dispute(self, call: Call) -> bytes:
        return msgspec.json.encode(disputes.entity(*self._dispute(call)))

    def _accept_dispute(self, call: Call) -> bytes:
        _, dispute = self._dispute(call)
        if dispute.resolved_at is not None:
            raise errors.dispute_closed()
        self._disputes.move(dispute, stage=dispute.stage, step="MERCHANT_ACCEPTED", respond_in_seconds=None)
        return self._get_dispute(call)

    def _dispute(self, call: Call) -> tuple[Order, Dispute]:
        dispute = self._disputes.dispute(call.item_id)
        order = self._orders.order(dispute.order_id)
        if order.account is not call.account:
            raise errors.dispute_not_found()
        return order, dispute
