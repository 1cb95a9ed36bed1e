"""Payments that were scored and whose PaymentCreated is not counted yet, in this process.

A burst arrives faster than events come round: without this, fifty parallel requests of one user would each see none
of the others. It holds what this replica scored, for seconds; what another replica scored shows once it is counted.

A client that tries one request again and again asks about a new payment id each time, and at most one of them becomes a
payment: all tries with one request key count once.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from fraud import domain
from fraud.domain import Counts, Subject, Waiting

# Beyond this the oldest are forgotten early: the counters in the database know of them by then.
TRIES_MAX = 100_000
_NOTHING = Counts()

# What counts once: merchant, user and request key, or the payment id of a request without a key.
_Identity = tuple[str, str, str] | UUID


@dataclass(slots=True)
class _Entry:
    """*subject* is the latest try, and the one that is counted; *tries* are never empty."""

    subject: Subject
    tries: set[UUID] = field(default_factory=set)


class InFlight:
    """Counts by key. An entry leaves when the event of one of its tries was counted, or *keep* after its last try."""

    def __init__(self, keep: timedelta) -> None:
        self._keep = keep
        # Payment id → when it was asked about, and its entry; in that order.
        self._tries: dict[UUID, tuple[datetime, _Identity]] = {}
        self._entries: dict[_Identity, _Entry] = {}
        self._counts: dict[UUID, Counts] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def of(self, key: UUID) -> Counts:
        return self._counts.get(key, _NOTHING)

    def besides(self, subject: Subject) -> Waiting:
        """What is in flight without the request of *subject*, which may have been tried before."""
        entry = self._entries.get(_identity(subject))
        if entry is None:
            return self.of
        own = set(domain.subject_keys(entry.subject).values())
        earlier = _counted(entry.subject, -1)

        def others(key: UUID) -> Counts:
            if key not in own:
                return self.of(key)
            counts = dataclasses.replace(self.of(key))
            counts.add(earlier)
            return counts

        return others

    def add(self, subject: Subject, now: datetime) -> None:
        """Count *subject* from now on, in the place of earlier tries of its request."""
        self._forget(subject.payment_id)
        identity = _identity(subject)
        entry = self._entries.get(identity)
        if entry is None:
            entry = self._entries[identity] = _Entry(subject)
        else:
            self._change(entry.subject, -1)
            entry.subject = subject
        self._change(subject, 1)
        entry.tries.add(subject.payment_id)
        self._tries[subject.payment_id] = (now, identity)

    def settle(self, payment_ids: Iterable[UUID]) -> None:
        """These are in the counters now; other tries of their requests become no payments."""
        for payment_id in payment_ids:
            if payment_id in self._tries:
                _, identity = self._tries[payment_id]
                for each in list(self._entries[identity].tries):
                    self._forget(each)

    def expire(self, now: datetime) -> None:
        """Forget the tries that have been here for too long, or are too many."""
        over: list[UUID] = []
        for payment_id, (since, _) in self._tries.items():
            if now - since < self._keep and len(self._tries) - len(over) <= TRIES_MAX:
                break
            over.append(payment_id)
        for payment_id in over:
            self._forget(payment_id)

    def _forget(self, payment_id: UUID) -> None:
        """Forget a try, and its entry with the last one."""
        _, identity = self._tries.pop(payment_id, (None, None))
        if identity is None:
            return
        entry = self._entries[identity]
        entry.tries.remove(payment_id)
        if not entry.tries:
            del self._entries[identity]
            self._change(entry.subject, -1)

    def _change(self, subject: Subject, sign: int) -> None:
        change = _counted(subject, sign)
        for key in domain.subject_keys(subject).values():
            counts = self._counts.setdefault(key, Counts())
            counts.add(change)
            if counts.created == 0:
                del self._counts[key]


def _identity(subject: Subject) -> _Identity:
    if subject.request_key:
        return subject.merchant_id, subject.user_id, subject.request_key
    return subject.payment_id


def _counted(subject: Subject, sign: int) -> Counts:
    return Counts(created=sign, amount=sign * domain.counted_amount(subject.amount))
