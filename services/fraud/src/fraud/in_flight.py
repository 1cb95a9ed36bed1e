"""Requests that were scored and whose PaymentCreated is not counted yet, in this process.

A burst is faster than its events: without this, fifty parallel requests of one user would each see none of the others.
It holds what this replica scored, for seconds; what another replica scored shows once it is counted.

A client that tries one request again and again has it scored under a new payment id each time, and at most one of them
becomes a payment: all tries with one request key count once.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import Struct

from fraud.domain.scores import InFlightCounts
from fraud.domain.subjects import Subject, subject_keys
from fraud.domain.velocity import Counts, counted_amount

# Beyond this the oldest are dropped early: the counters in the database have them by then.
TRIES_MAX = 100_000
_NO_COUNTS = Counts()

# What counts once: merchant, user and request key, or the payment id of a request without a key.
_Identity = tuple[str, str, str] | UUID


class _Request(Struct):
    """*subject* is the latest try, and the one that is counted; *tries* are never empty. Mutable: tries come and go."""

    subject: Subject
    tries: set[UUID] = msgspec.field(default_factory=set)


class InFlightRequests:
    """Counts by key. A request leaves when the event of one of its tries was counted, or *keep* after its last try."""

    def __init__(self, keep: timedelta, tries_max: int = TRIES_MAX) -> None:
        self._keep = keep
        self._tries_max = tries_max
        # Payment id → when it was scored, and its request; oldest first.
        self._tries: dict[UUID, tuple[datetime, _Identity]] = {}
        self._requests: dict[_Identity, _Request] = {}
        self._counts: dict[UUID, Counts] = {}

    def __len__(self) -> int:
        return len(self._requests)

    @property
    def payment_ids(self) -> frozenset[UUID]:
        """The tries that are remembered, by payment id."""
        return frozenset(self._tries)

    @property
    def tries(self) -> list[frozenset[UUID]]:
        """The payment ids of the tries of each request."""
        return [frozenset(request.tries) for request in self._requests.values()]

    @property
    def subjects(self) -> list[Subject]:
        """What is counted: the latest try of each request."""
        return [request.subject for request in self._requests.values()]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is remembered at all."""
        return not (self._tries or self._requests or self._counts)

    def counts(self, key: UUID) -> Counts:
        return self._counts.get(key, _NO_COUNTS)

    def counts_without(self, subject: Subject) -> InFlightCounts:
        """The counts without the request of *subject*, which may have been tried before."""
        request = self._requests.get(_identity(subject))
        if request is None:
            return self.counts
        own_keys = set(subject_keys(request.subject).values())
        earlier_try = _counted(request.subject, -1)

        def others(key: UUID) -> Counts:
            if key not in own_keys:
                return self.counts(key)
            counts = msgspec.structs.replace(self.counts(key))
            counts.add(earlier_try)
            return counts

        return others

    def add(self, subject: Subject, now: datetime) -> None:
        """Count *subject* from now on, in the place of earlier tries of its request."""
        self._drop(subject.payment_id)
        identity = _identity(subject)
        request = self._requests.get(identity)
        if request is None:
            request = self._requests[identity] = _Request(subject)
        else:
            self._change(request.subject, -1)
            request.subject = subject
        self._change(subject, 1)
        request.tries.add(subject.payment_id)
        self._tries[subject.payment_id] = (now, identity)

    def remove_counted(self, payment_ids: Iterable[UUID]) -> None:
        """These are in the counters now; other tries of their requests become no payments."""
        for payment_id in payment_ids:
            if payment_id in self._tries:
                _, identity = self._tries[payment_id]
                for each in list(self._requests[identity].tries):
                    self._drop(each)

    def expire(self, now: datetime) -> None:
        """Drop the tries that are older than *keep*, and the oldest where there are too many."""
        expired: list[UUID] = []
        for payment_id, (since, _) in self._tries.items():
            if now - since < self._keep and len(self._tries) - len(expired) <= self._tries_max:
                break
            expired.append(payment_id)
        for payment_id in expired:
            self._drop(payment_id)

    def _drop(self, payment_id: UUID) -> None:
        """Drop a try, and its request with the last one."""
        _, identity = self._tries.pop(payment_id, (None, None))
        if identity is None:
            return
        request = self._requests[identity]
        request.tries.remove(payment_id)
        if not request.tries:
            del self._requests[identity]
            self._change(request.subject, -1)

    def _change(self, subject: Subject, sign: int) -> None:
        change = _counted(subject, sign)
        for key in subject_keys(subject).values():
            counts = self._counts.setdefault(key, Counts())
            counts.add(change)
            if counts.created == 0:
                del self._counts[key]


def _identity(subject: Subject) -> _Identity:
    if subject.request_key:
        return subject.merchant_id, subject.user_id, subject.request_key
    return subject.payment_id


def _counted(subject: Subject, sign: int) -> Counts:
    return Counts(created=sign, amount=sign * counted_amount(subject.amount))
