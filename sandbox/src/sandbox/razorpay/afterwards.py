"""The operations on settlements and their rows."""

from collections.abc import Callable
from typing import Any

from sandbox.razorpay import entities, errors, requests, settlement_entities
from sandbox.razorpay.calls import Call
from sandbox.razorpay.ids import is_id
from sandbox.razorpay.operations import page
from sandbox.razorpay.settlements import Settlements


class Afterwards:
    """Reads settlements, what is due included."""

    def __init__(self, settlements: Settlements) -> None:
        self._settlements = settlements

    def by_name(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        return {
            "get_settlements": self._get_settlements,
            "get_settlement": self._get_settlement,
            "get_settlement_rows": self._get_settlement_rows,
        }

    def _get_settlements(self, call: Call) -> dict[str, Any]:
        found = page(call, reversed(self._settlements.of_account(call.own)))
        return entities.collection([settlement_entities.entity(it) for it in found])

    def _get_settlement(self, call: Call) -> dict[str, Any]:
        if not is_id(call.item_id, "setl"):
            raise errors.malformed_id(call.item_id)
        found = next((it for it in self._settlements.of_account(call.own) if it.id == call.item_id), None)
        if found is None:
            raise errors.unknown_id()
        return settlement_entities.entity(found)

    def _get_settlement_rows(self, call: Call) -> dict[str, Any]:
        """Of a day in India, or of a month without one: the rows of the settlements that were made in it."""
        for name in ("year", "month"):
            if name not in call.query:
                raise errors.missing(name)
        wanted = {
            "year": requests.number(call.query, "year", 0, 2000, 2100),
            "month": requests.number(call.query, "month", 0, 1, 12),
        }
        if call.query.get("day"):
            wanted["day"] = requests.number(call.query, "day", 0, 1, 31)
        part = requests.page(call.query, requests.RECON_COUNT_MAX)
        rows = [
            settlement_entities.row(settlement, row)
            for settlement in self._settlements.of_account(call.own)
            if wanted.items() <= settlement_entities.day_of(settlement).items()
            for row in settlement.rows
        ]
        return entities.collection(rows[part.skip : part.skip + part.count])
