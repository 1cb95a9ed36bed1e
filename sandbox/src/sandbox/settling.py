"""Settlements as the gateways share them: what a payment costs, when it is paid out, and what reports get wrong."""

from datetime import datetime, time, timedelta
from typing import Literal

import msgspec

from sandbox.clock import IST, now

# Gateways pay out in the morning, what happened until a midnight before.
_PAID_OUT_AT = time(11, 0, tzinfo=IST)


class Fees(msgspec.Struct, frozen=True):
    """What a payment costs, and the GST on it; both in hundredths of a percent, rounded half up to paise."""

    basis_points: int = 190
    tax_basis_points: int = 1_800

    def of(self, amount_paise: int) -> tuple[int, int]:
        fee = (amount_paise * self.basis_points + 5_000) // 10_000
        return fee, (fee * self.tax_basis_points + 5_000) // 10_000


class RowFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Makes the rows of an order's payment wrong; *foreign* adds a row of an order that nobody made."""

    kind: Literal["missing", "doubled", "amount", "fee", "currency", "late", "utr", "foreign"]
    order_id: str = ""
    amount_paise: int = 100


def due_until(days: int) -> int:
    """The midnight in India until which everything is settled by now, in epoch seconds; *days* after it happened."""
    today = datetime.fromtimestamp(now(), IST).date()
    paid_out = now() >= datetime.combine(today, _PAID_OUT_AT).timestamp()
    last = today - timedelta(days=days - 1 if paid_out else days)
    return int(datetime.combine(last, time(0), IST).timestamp())
