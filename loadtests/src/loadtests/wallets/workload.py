"""Which wallet is next, and whether it spends or is granted to: pure, and the same for the same seed.

A wallet spends until it holds less than its reserve, then it is granted to. The reserve is more than what can be under
way on this wallet at any moment, so that no spend is ever refused, in whatever order the interfaces process them.
"""

import math
import random
from collections.abc import Iterator
from itertools import accumulate

from msgspec import Struct

from loadtests.wallets.plan import CREDITS_BONUS, CREDITS_PAID, SPEND_CREDITS_MAX

GRANTED = CREDITS_PAID + CREDITS_BONUS


class Step(Struct, frozen=True):
    """One transaction: *credits* spent, or 0 for a grant."""

    wallet: int
    credits: int


def shares(wallets: int, zipf: float, seed: int) -> list[float]:
    """Each wallet's share of the load: 1/rank^zipf, the ranks dealt out at random. They add up to 1."""
    weights = [1 / rank**zipf for rank in range(1, wallets + 1)]
    total = sum(weights)
    random.Random(seed).shuffle(weights)  # noqa: S311 - nobody guesses a load
    return [weight / total for weight in weights]


def reserve(share: float, in_flight: int) -> int:
    """More credits than a wallet with *share* of the load can be asked for by *in_flight* transactions."""
    mean = share * in_flight
    return math.ceil(min(in_flight, mean + 7 * math.sqrt(mean) + 8)) * SPEND_CREDITS_MAX


def openings(shares: list[float], in_flight: int, seed: int) -> list[int]:
    """What the wallets hold before the clock starts: what they would if they had been in use for long.

    That is a reserve each and what the last spend left of the last grant, which may be anything: did all begin with a
    whole grant, there would be few grants at first, and the first slice of a run would be less work than the last.
    """
    chance = random.Random(seed)  # noqa: S311
    return [reserve(share, in_flight) + chance.randrange(GRANTED) - chance.choice(_SPENDS) for share in shares]


def lots(credits: int) -> list[int]:
    """*credits* in lots of a grant's size, what is begun of one first: a spend then finds as many as it will later."""
    count, begun = divmod(credits, CREDITS_PAID)
    whole = [CREDITS_PAID] * count
    return [begun, *whole] if begun else whole


def steps(shares: list[float], in_flight: int, seed: int) -> Iterator[Step]:
    """Transactions without end, over wallets that hold their `openings` of the same *seed*."""
    chance = random.Random(seed)  # noqa: S311
    reserves = [reserve(share, in_flight) for share in shares]
    holds = openings(shares, in_flight, seed)
    cumulative = list(accumulate(shares))
    everybody = range(len(shares))
    while True:
        for wallet, luck in zip(
            chance.choices(everybody, cum_weights=cumulative, k=4096), chance.choices(_SPENDS, k=4096), strict=True
        ):
            if holds[wallet] < reserves[wallet]:
                holds[wallet] += GRANTED
                yield Step(wallet, 0)
            else:
                holds[wallet] -= luck
                yield Step(wallet, luck)


_SPENDS = range(1, SPEND_CREDITS_MAX + 1)
