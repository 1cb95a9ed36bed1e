"""The parameters of a bench and their bounds."""

from typing import Final

from msgspec import Struct

PAYMENTS_MAX: Final = 200_000
ROUNDS_MAX: Final = 20
CLIENTS_MAX: Final = 512
RATE_MAX: Final = 5_000

# Fraud holds a member who pays more than ten times a minute, as it should: no member of a bench comes near.
PAYMENTS_PER_MEMBER_MAX: Final = 8
MEMBERS_MIN: Final = 200

PACK_ID: Final = "pack_500"
# Customers take their time; here they take just enough to be paid for in bulk.
PAY_EVERY_SECONDS: Final = 0.05

REQUEST_SECONDS_MAX: Final = 30.0
ROUND_SECONDS_MAX: Final = 1_200.0
# A payment that makes no progress for so long will not be complete.
STALLED_SECONDS_MAX: Final = 30.0
QUIET_SECONDS_MAX: Final = 60.0

# One payment in a thousand may go unscored; more means that payments go unchecked.
FRAUD_SILENT_SHARE_MAX: Final = 0.001

# Data files, WAL and logs together; measured once, generous on purpose.
DISK_BYTES_PER_PAYMENT: Final = 60_000
DISK_BYTES_SPARED: Final = 2_000_000_000


class Plan(Struct, frozen=True):
    """One bench. *rate* is payments a second to offer; 0 lets *clients* go as fast as they are answered."""

    payments: int = 3_000
    rounds: int = 3
    warm_up: int = 500
    clients: int = 256
    rate: float = 0.0
    floors: bool = True

    def __post_init__(self) -> None:
        bounds: dict[str, tuple[float, float, float]] = {
            "payments": (self.payments, 1, PAYMENTS_MAX),
            "rounds": (self.rounds, 1, ROUNDS_MAX),
            "warm-up": (self.warm_up, 0, PAYMENTS_MAX),
            "clients": (self.clients, 1, CLIENTS_MAX),
            "rate": (self.rate, 0, RATE_MAX),
        }
        for name, (value, least, most) in bounds.items():
            if not least <= value <= most:
                raise ValueError(f"{name} is {value:g} and must be from {least:g} to {most:g}")

    @property
    def members(self) -> int:
        """How many members pay, so that each of them pays seldom."""
        all_payments = self.payments * self.rounds + self.warm_up
        return max(MEMBERS_MIN, -(-all_payments // PAYMENTS_PER_MEMBER_MAX))

    @property
    def model(self) -> str:
        return f"open, {self.rate:g} payments/s" if self.rate else f"closed, {self.clients} clients"

    @property
    def disk_bytes(self) -> int:
        """What the bench will write, roughly."""
        return (self.payments * self.rounds + self.warm_up) * DISK_BYTES_PER_PAYMENT
