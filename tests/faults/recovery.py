"""How soon the fleet does its work at full rate again after a fault, and how fast it drains what piled up meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from tests.faults.history import History

# A purchase that is granted within so long of being asked for was not held up by anything.
PROMPT = timedelta(seconds=2)
# A smaller backlog says nothing about a rate.
BACKLOG_MIN = 20


@dataclass(frozen=True)
class Purchase:
    """One of the load's even stream: when somebody asked for it, and when its credits were there."""

    asked_at: datetime
    granted_at: datetime | None

    def prompt(self) -> bool:
        return self.granted_at is not None and self.granted_at - self.asked_at <= PROMPT


@dataclass(frozen=True)
class Recovery:
    """Times in seconds from the end of the fault; None where it did not come to it."""

    back_seconds: float | None
    """The first purchase that was asked for afterwards is granted."""
    full_rate_seconds: float | None
    """From here on every purchase is granted as promptly as ever."""
    backlog: int
    """Purchases that were asked for before the end of the fault and granted after it."""
    drained_seconds: float | None
    """The backlog is as small as what arrives within a second."""
    drain_ratio: float | None
    """Grants a second until then, of the backlog and of what arrived meanwhile, over arrivals a second."""


async def purchases(db: asyncpg.Connection, found: History) -> list[Purchase]:
    """The load's purchases that were paid for, in the order in which they were asked for."""
    paid = set(found.paid_orders)
    asked = {made.payment_id: made.asked_at for made in found.created if made.by_load and made.order_id in paid}
    rows = await db.fetch(
        # A wallet whose clock is wrong may have written times to come.
        "select source_id, least(min(created_at), now()) as granted_at from wallet.wallet_transactions"
        " where type = 'GRANT' and source_id = any($1) group by 1",
        list(asked),
    )
    granted = {row["source_id"]: row["granted_at"] for row in rows}
    return sorted(
        (Purchase(asked_at, granted.get(payment_id)) for payment_id, asked_at in asked.items()),
        key=lambda purchase: purchase.asked_at,
    )


def measured(made: Sequence[Purchase], began_at: datetime, ended_at: datetime) -> Recovery:
    """What the purchases say about a fault that lasted from *began_at* to *ended_at*."""
    before = [purchase for purchase in made if purchase.asked_at < ended_at]
    after = [purchase for purchase in made if purchase.asked_at >= ended_at]
    grants = [purchase.granted_at for purchase in after if purchase.granted_at is not None]
    late = sorted(each.granted_at for each in before if each.granted_at is not None and each.granted_at > ended_at)
    back_seconds = _seconds(min(grants) - ended_at) if grants else None
    full_rate_seconds = _full_rate_seconds(after, ended_at)
    lasted_seconds = (ended_at - began_at).total_seconds()
    if len(late) < BACKLOG_MIN or lasted_seconds < 1:
        return Recovery(back_seconds, full_rate_seconds, len(late), None, None)
    per_second = sum(purchase.asked_at >= began_at for purchase in before) / lasted_seconds
    drained_at = late[-1 - min(int(per_second), len(late) - 1)]
    drained_seconds = (drained_at - ended_at).total_seconds()
    granted = sum(each <= drained_at for each in late) + sum(each <= drained_at for each in grants)
    ratio = granted / drained_seconds / per_second
    return Recovery(back_seconds, full_rate_seconds, len(late), round(drained_seconds, 1), round(ratio, 1))


def _full_rate_seconds(after: Sequence[Purchase], ended_at: datetime) -> float | None:
    """When the first was asked for that, like all that follow, was prompt; None when the last one was not."""
    back: float | None = None
    for purchase in reversed(after):
        if not purchase.prompt():
            break
        back = _seconds(purchase.asked_at - ended_at)
    return back


def _seconds(length: timedelta) -> float:
    return round(length.total_seconds(), 1)
