"""Payments that were scored and whose PaymentCreated is not counted yet, in this process.

A burst arrives faster than events come round: without this, fifty parallel requests of one user would each see none
of the others. It holds what this replica scored, for seconds; what another replica scored shows once it is counted.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from fraud import domain
from fraud.domain import Counts, Subject

# Beyond this the oldest are forgotten early: the counters in the database know of them by then.
ENTRIES_MAX = 100_000
_NOTHING = Counts()


class InFlight:
    """Counts by key. An entry leaves when its event was counted, or when *keep* has passed (refused, never created)."""

    def __init__(self, keep: timedelta) -> None:
        self._keep = keep
        # In the order of arrival.
        self._entries: dict[UUID, tuple[datetime, Subject]] = {}
        self._counts: dict[UUID, Counts] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def of(self, key: UUID) -> Counts:
        return self._counts.get(key, _NOTHING)

    def add(self, subject: Subject, now: datetime) -> None:
        """Count *subject* from now on."""
        if subject.payment_id not in self._entries:
            self._entries[subject.payment_id] = (now, subject)
            self._change(subject, 1)

    def settle(self, payment_ids: Iterable[UUID]) -> None:
        """These are in the counters now, or are being asked about again."""
        for payment_id in payment_ids:
            entry = self._entries.pop(payment_id, None)
            if entry is not None:
                self._change(entry[1], -1)

    def expire(self, now: datetime) -> None:
        """Forget what has been here for too long, or is too much."""
        over: list[UUID] = []
        for payment_id, (since, _) in self._entries.items():
            if now - since < self._keep and len(self._entries) - len(over) <= ENTRIES_MAX:
                break
            over.append(payment_id)
        self.settle(over)

    def _change(self, subject: Subject, sign: int) -> None:
        for key in domain.subject_keys(subject).values():
            counts = self._counts.setdefault(key, Counts())
            counts.add(Counts(created=sign, amount=sign * domain.counted_amount(subject.amount)))
            if counts.created == 0:
                del self._counts[key]
