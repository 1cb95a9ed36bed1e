"""By what the gateway and time are measured: contract rates, tolerances, and how long each side may take."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from msgspec import Struct

from reconciler.domain.records import day_in_india, end_of_day_in_india, working_days_after

_BASIS_POINTS = 10_000
# The rate of all methods that have none of their own.
ANY_METHOD = "*"


class Terms(Struct, frozen=True, kw_only=True):
    """Rates are basis points, tolerances minor units."""

    # By method; a method without one is not checked.
    fee_basis_points: Mapping[str, int] = {}
    fee_tax_basis_points: int = 1_800
    fee_tolerance_minor: int = 1
    amount_tolerance_minor: int = 0
    # T+n working days, what is granted beyond, and after how many more "delayed" is "missing".
    settlement_days: int = 1
    settlement_grace_days: int = 2
    settlement_missing_days: int = 5
    # A refund is taken off a later settlement, sometimes weeks after.
    refund_days: int = 15
    bank_days: int = 2
    # How long events between the services may be on their way.
    transit: timedelta = timedelta(minutes=5)
    webhook_grace: timedelta = timedelta(hours=1)
    confirmation_grace: timedelta = timedelta(hours=1)

    def fee(self, method: str, amount_minor: int) -> int | None:
        """What the contract says for a payment; None when it says nothing about the method."""
        rate = self.fee_basis_points.get(method.lower(), self.fee_basis_points.get(ANY_METHOD))
        return None if rate is None else _share(amount_minor, rate)

    def fee_tax(self, fee_minor: int) -> int:
        """GST on a fee."""
        return _share(fee_minor, self.fee_tax_basis_points)

    def settled_by(self, paid_at: datetime) -> datetime:
        """When a payment's settlement is delayed unless it has come."""
        return self._after(day_in_india(paid_at), self.settlement_days + self.settlement_grace_days)

    def missing_from(self, paid_at: datetime) -> datetime:
        """When a settlement that has not come counts as missing."""
        return self._after(
            day_in_india(paid_at), self.settlement_days + self.settlement_grace_days + self.settlement_missing_days
        )

    def refund_settled_by(self, created_at: datetime) -> datetime:
        return self._after(day_in_india(created_at), self.refund_days)

    def bank_line_on(self, settled_at: datetime) -> tuple[date, date]:
        """The days, both included, on which the bank books a settlement: clocks differ by a day on either side."""
        day = day_in_india(settled_at)
        return day - timedelta(days=1), working_days_after(day, self.bank_days)

    def _after(self, day: date, working_days: int) -> datetime:
        return end_of_day_in_india(working_days_after(day, working_days))


def _share(amount: int, basis_points: int) -> int:
    """Rounded half up; both are zero or above."""
    return (amount * basis_points + _BASIS_POINTS // 2) // _BASIS_POINTS
