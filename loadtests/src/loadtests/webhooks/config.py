"""The parameters of a storm and their bounds."""

from typing import Final

from msgspec import Struct

RATE_MAX: Final = 10_000
SECONDS_MAX: Final = 600
WEBHOOKS_MAX: Final = 1_000_000

# Of a hundred deliveries so many repeat an event that was delivered a little earlier: half of them are the very bytes
# under a new signature, half another rendering (a later event_time, so another body) of the same event.
REPEATS_PERCENT: Final = 20
# One order for so many deliveries: the customer of each fails to pay until the last attempt.
DELIVERIES_PER_ORDER: Final = 20
# Orders that only the gateway knows when their webhook comes. The fleet learns of them while the webhook waits.
HIDDEN_ORDERS: Final = 100
# A customer's attempts lie this far apart in the storm.
ATTEMPT_GAP_SECONDS: Final = 0.4
REPEATED_AFTER_SECONDS: Final = (0.2, 4.0)

CONNECTIONS: Final = 512
# What was rejected with 503 is delivered again after the storm, over so many connections.
CONNECTIONS_AFTER: Final = 64
TICK_SECONDS: Final = 0.005
ANSWER_SECONDS_MAX: Final = 30.0
REDELIVERY_SECONDS_MAX: Final = 600.0
DRAIN_SECONDS_MAX: Final = 1_800.0
# Orders are asked for this many at a time: the simulator lists at most so many of its webhooks.
CHUNK: Final = 1_000

# Data files, WAL, queues and logs together; measured once, generous on purpose.
DISK_BYTES_PER_WEBHOOK: Final = 20_000
DISK_BYTES_PER_ORDER: Final = 60_000
MEMORY_BYTES_PER_WEBHOOK: Final = 3_000


class Plan(Struct, frozen=True):
    """One storm: *rate* deliveries a second for *seconds*, whether they are answered or not."""

    seconds: int = 60
    rate: int = 2_000

    def __post_init__(self) -> None:
        for name, value, most in (("seconds", self.seconds, SECONDS_MAX), ("rate", self.rate, RATE_MAX)):
            if not 1 <= value <= most:
                raise ValueError(f"{name} is {value} and must be from 1 to {most}")
        if self.deliveries > WEBHOOKS_MAX:
            raise ValueError(f"{self.deliveries} webhooks are more than {WEBHOOKS_MAX}")

    @property
    def deliveries(self) -> int:
        return self.rate * self.seconds

    @property
    def orders(self) -> int:
        """Real orders, created through the edge and paid at the gateway."""
        return max(1, self.deliveries // DELIVERIES_PER_ORDER)

    @property
    def hidden_orders(self) -> int:
        """Orders that the gateway does not show at first, beside the others."""
        return min(HIDDEN_ORDERS, max(1, self.orders // 20))

    @property
    def events(self) -> int:
        """Deliveries that tell something new, hidden orders not counted."""
        return self.deliveries * (100 - REPEATS_PERCENT) // 100

    @property
    def attempts(self) -> int:
        """Attempts of each order: all fail but the last."""
        return max(1, self.events // self.orders)

    @property
    def disk_bytes(self) -> int:
        """What the storm will write, roughly."""
        return self.deliveries * DISK_BYTES_PER_WEBHOOK + self.orders * DISK_BYTES_PER_ORDER

    @property
    def memory_bytes(self) -> int:
        """What the generator holds: every request is made beforehand."""
        return self.deliveries * MEMORY_BYTES_PER_WEBHOOK
