"""Deliveries: one event to one endpoint, its attempts, and when the next one is due."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct

from common.errors import Conflict, NotFound

# Requirements S003-036 and S003-037: the pauses before each of the five attempts.
SCHEDULE: Final = tuple(timedelta(seconds=seconds) for seconds in (0, 60, 300, 1_800, 7_200))
TEST_SCHEDULE: Final = tuple(timedelta(seconds=seconds) for seconds in (0, 5, 10, 15, 20))
# A receiver may ask for more time, within this.
RETRY_AFTER_MAX: Final = timedelta(hours=1)
# Of an answer's body so much is kept.
ANSWER_CHARACTERS_MAX: Final = 1_024


class WebhookNotFound(NotFound):
    """The merchant has no such delivery."""

    fix = "List the webhooks for their ids."


class WebhookPending(Conflict):
    """The delivery is still on its own schedule."""

    fix = "Wait for its next attempt; `nextRetryAt` says when it is due."


class DeliveryStatus(StrEnum):
    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    # The last attempt failed; it is sent again on request only.
    FAILED = "FAILED"
    # Its endpoint was deleted before it went out.
    CANCELLED = "CANCELLED"


class Trigger(StrEnum):
    AUTO = "AUTO"
    # Somebody asked for it.
    MANUAL = "MANUAL"


class AttemptError(StrEnum):
    """Why an attempt has no answer, or none that counts."""

    HTTP = "http"
    REDIRECT = "redirect"
    TIMEOUT = "timeout"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    FORBIDDEN = "forbidden_address"
    PROTOCOL = "protocol"


class Answer(Struct, frozen=True):
    """What became of one attempt. *status* is 0 where nothing was answered."""

    status: int
    error: AttemptError | None
    ms: int
    text: str = ""
    retry_after: timedelta | None = None

    @property
    def is_success(self) -> bool:
        return self.error is None

    @property
    def is_gone(self) -> bool:
        return self.status == 410


class Delivery(Struct, frozen=True, kw_only=True):
    """One event on its way to one endpoint."""

    # dlv_…
    id: UUID
    endpoint_id: UUID
    event_id: UUID
    merchant_id: str
    type: str
    object_id: str
    status: DeliveryStatus
    attempts: int = 0
    trigger: Trigger = Trigger.AUTO
    # While an attempt is under way: when another may be made if nothing is heard of this one.
    next_retry_at: datetime | None = None
    created_at: datetime
    finished_at: datetime | None = None


class DeliveryFilter(Struct, frozen=True, kw_only=True):
    """Which deliveries of a merchant; what is empty or None does not filter. *limit* is one more than a page."""

    merchant_id: str
    endpoint_id: UUID | None = None
    status: str = ""
    type: str = ""
    object_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    before: UUID | None = None
    limit: int


class Attempt(Struct, frozen=True):
    """One attempt, as it is kept."""

    delivery_id: UUID
    number: int
    at: datetime
    trigger: Trigger
    answer: Answer


class NextStep(Struct, frozen=True):
    """What follows from an attempt."""

    status: DeliveryStatus
    next_retry_at: datetime | None


def next_step(attempts: int, answer: Answer, schedule: tuple[timedelta, ...], jitter: float, now: datetime) -> NextStep:
    """After the attempt that was number *attempts*, from 1. *jitter* is about 1 and spreads what failed together.

    An attempt beyond the schedule, which somebody asked for, begins no new one.
    """
    if answer.is_success:
        return NextStep(DeliveryStatus.SUCCESS, None)
    if answer.is_gone or attempts >= len(schedule):
        return NextStep(DeliveryStatus.FAILED, None)
    pause = schedule[attempts] * jitter
    if answer.retry_after is not None:
        pause = max(pause, min(answer.retry_after, RETRY_AFTER_MAX))
    return NextStep(DeliveryStatus.PENDING, now + pause)
