"""The parameters of a wallet bench and their bounds."""

from typing import Final

from msgspec import Struct

TRANSACTIONS_MAX: Final = 50_000_000
WALLETS_MAX: Final = 1_000_000

# Not the platform's own, so that everything a bench wrote can be recognised and removed.
MERCHANT_ID: Final = "mer_bench"
PURPOSE: Final = "bench.spend"

# A grant is what the ₹500 pack gives; its credits are given away, so a spend earns nothing and is one journal.
CREDITS_PAID: Final = 5_000
CREDITS_BONUS: Final = 500
# What a wallet holds at first comes in so many grants, on average; the few busy ones' hundreds hardly count.
GRANTS_PER_OPENING: Final = 4
# Nine spends use up a grant: one transaction in ten is a grant.
SPEND_CREDITS_MAX: Final = 1_221

# Transactions that were sent and are not in the ledger yet. It bounds queues and memory; a second's work or two.
IN_FLIGHT_MAX: Final = 24_000
GRPC_ITEMS: Final = 256
GRPC_CALLS: Final = 16
ENVELOPE_EVENTS: Final = 128

# Below this many the rate falls into tenths rather than millions.
SLICE: Final = 1_000_000
SLICES_MIN: Final = 5

# Slower than this, and the bench gives up rather than run for hours.
RATE_MIN: Final = 1_000
STALLED_SECONDS_MAX: Final = 60.0
QUIET_SECONDS_MAX: Final = 120.0

# Tables, indexes, logs and the broker's own, measured once and rounded up; WAL comes on top, and PostgreSQL keeps
# no more of it than max_wal_size.
DISK_BYTES_PER_TRANSACTION: Final = 2_200
WAL_BYTES_PER_TRANSACTION: Final = 2_000
WAL_BYTES_MAX: Final = 10_000_000_000
# The ledger's and the wallet's tables are read whole by the last checks, which sort on disk.
SORT_BYTES_PER_TRANSACTION: Final = 400


class Run(Struct, frozen=True):
    """So many transactions over so many wallets; without *zipf* each wallet is as busy as every other."""

    name: str
    transactions: int
    wallets: int
    zipf: float

    @property
    def seconds_max(self) -> float:
        return 120 + self.transactions / RATE_MIN

    @property
    def slice(self) -> int:
        """How many transactions one figure of the throughput stands for."""
        if self.transactions >= SLICES_MIN * SLICE:
            return SLICE
        return max(1, self.transactions // 10)


class Plan(Struct, frozen=True):
    """The spread run and the hot one. *grpc_share* of the spends are gRPC calls, the others events."""

    transactions: int = 10_000_000
    wallets: int = 100_000
    zipf: float = 1.0
    hot_transactions: int = 1_000_000
    hot_wallets: int = 10
    grpc_share: float = 0.5
    keep: bool = False

    def __post_init__(self) -> None:
        bounds: dict[str, tuple[float, float, float]] = {
            "transactions": (self.transactions, 1_000, TRANSACTIONS_MAX),
            "wallets": (self.wallets, 1, WALLETS_MAX),
            "zipf": (self.zipf, 0, 3),
            "hot transactions": (self.hot_transactions, 0, TRANSACTIONS_MAX),
            "hot wallets": (self.hot_wallets, 1, 1_000),
            "grpc share": (self.grpc_share, 0, 1),
        }
        for name, (value, least, most) in bounds.items():
            if not least <= value <= most:
                raise ValueError(f"{name} is {value:g} and must be from {least:g} to {most:g}")

    @property
    def runs(self) -> list[Run]:
        found = [Run("spread", self.transactions, self.wallets, self.zipf)]
        if self.hot_transactions:
            found.append(Run("hot", self.hot_transactions, self.hot_wallets, 0.0))
        return found

    @property
    def disk_bytes(self) -> int:
        """What will be on the disk at the most, roughly."""
        written = sum(run.transactions + run.wallets * GRANTS_PER_OPENING for run in self.runs)
        wal = min(WAL_BYTES_MAX, written * WAL_BYTES_PER_TRANSACTION)
        return written * (DISK_BYTES_PER_TRANSACTION + SORT_BYTES_PER_TRANSACTION) + wal
