"""Throughput from the first transaction to the last, from the times at which the ledger booked its batches. Pure."""

from collections.abc import Sequence

from msgspec import Struct


class Booked(Struct, frozen=True, order=True):
    """*journals* that were booked at one moment, in seconds since 1970."""

    at: float
    journals: int


def rates(batches: Sequence[Booked], started_at: float, width: int) -> list[float]:
    """Journals a second for each *width* of them, in the order of booking; what is left over counts with the last.

    The border between two slices lies within a batch as far as the batch reaches beyond it.
    """
    total = sum(batch.journals for batch in batches)
    slices = max(1, total // width)
    found: list[float] = []
    done, before, began = 0, started_at, started_at
    for batch in sorted(batches):
        while len(found) < slices - 1 and done + batch.journals >= (len(found) + 1) * width:
            border = (len(found) + 1) * width
            at = before + (batch.at - before) * (border - done) / batch.journals
            found.append(_rate(width, at - began))
            began = at
        done, before = done + batch.journals, batch.at
    found.append(_rate(total - width * len(found), before - began))
    return found


def _rate(count: int, seconds: float) -> float:
    return count / seconds if seconds > 0 else 0.0
