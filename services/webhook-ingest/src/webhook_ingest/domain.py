"""What a webhook is, who may send it, when it is a duplicate, and where its processing stands. Pure."""

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from itertools import islice
from typing import Final
from uuid import UUID

import msgspec

from common.errors import FailedPrecondition, PermissionDenied, Unavailable
from gateways import GatewayAccountNotFound, Network, WebhookSummary
from gateways.verification import WebhookSignatureInvalid, WebhookTimestampInvalid, WebhookTooOld

# Gateways' payloads are 1–4 kB; what is larger is not a webhook.
BODY_BYTES_MAX: Final = 256 * 1024
HEADERS_MAX: Final = 64
HEADER_CHARACTERS_MAX: Final = 1024
SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie"})


class WebhookSourceRefused(PermissionDenied):
    """The sender's address is not on the allow-list."""

    fix = "Add the gateway's addresses to the account's list (CASHFREE_WEBHOOK_IPS), or leave the list empty."


class WebhookUnknown(FailedPrecondition):
    """A report came for a webhook that is not stored here (yet)."""

    fix = "Check the webhook's id; after a restore from a backup, discard the report."


class WebhookNotStored(Unavailable):
    """Whether the webhook is stored is not known, so the gateway must send it again."""

    fix = "Send the same webhook again; if it was stored after all, it has no second effect."


REFUSALS: Final = (
    GatewayAccountNotFound,
    WebhookSignatureInvalid,
    WebhookTimestampInvalid,
    WebhookTooOld,
    WebhookSourceRefused,
)


class Status(StrEnum):
    """Where the processing of a webhook stands."""

    RECEIVED = "RECEIVED"
    PROCESSING = "PROCESSING"
    PARKED = "PARKED"
    FAILED = "FAILED"
    DEAD = "DEAD"
    SUCCESS = "SUCCESS"


# Reports about one webhook come in any order, so the furthest one wins whenever it comes: nothing takes SUCCESS back,
# and a replay that succeeds heals FAILED and DEAD.
RANK: Final[Mapping[Status, int]] = {
    Status.RECEIVED: 0,
    Status.PROCESSING: 1,
    Status.PARKED: 2,
    Status.FAILED: 3,
    Status.DEAD: 4,
    Status.SUCCESS: 5,
}
assert RANK.keys() == set(Status), "every status needs its rank"
assert len(set(RANK.values())) == len(RANK), "no two statuses share a rank"

FAILURES: Final = frozenset({Status.PARKED, Status.FAILED, Status.DEAD})
FINAL: Final = FAILURES | {Status.SUCCESS}


class Webhook(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A webhook with a good signature, on its way into the store."""

    webhook_id: UUID
    gateway: str
    account_id: str
    summary: WebhookSummary
    version: str
    attempt: int
    body: bytes
    headers: Mapping[str, str]
    signature: str
    received_at: datetime

    @cached_property
    def body_hash(self) -> bytes:
        return hashlib.sha256(self.body).digest()

    @property
    def is_announced(self) -> bool:
        return bool(self.summary.type) and not self.summary.is_test

    @property
    def status(self) -> Status:
        return Status.RECEIVED if self.is_announced else Status.PARKED

    @cached_property
    def unique_keys(self) -> tuple[bytes, ...]:
        """What must be unique within the account: the raw body and, where the event names itself, the event."""
        if not self.summary.identity:
            return (self.body_hash,)
        return (self.body_hash, hashlib.sha256(b"event\0" + self.summary.identity.encode()).digest())


class Stored(msgspec.Struct, frozen=True):
    """The answer to a delivery: the id that its event is stored under, and whether it was stored before."""

    webhook_id: UUID
    duplicate: bool


def fold(webhooks: Sequence[Webhook]) -> tuple[list[Webhook], dict[UUID, Webhook]]:
    """The webhooks of a batch that differ from one another, and for each of the others the one that it repeats."""
    first: dict[tuple[str, bytes], Webhook] = {}
    distinct: list[Webhook] = []
    repeats: dict[UUID, Webhook] = {}
    for webhook in webhooks:
        keys = [(webhook.account_id, key) for key in webhook.unique_keys]
        original = next((first[key] for key in keys if key in first), None)
        for key in keys:
            first.setdefault(key, original or webhook)
        if original is None:
            distinct.append(webhook)
        else:
            repeats[webhook.webhook_id] = original
    return distinct, repeats


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers as they are stored: bounded, without credentials, without NUL. Names are lower case already."""
    kept = {
        name: value if len(value) <= HEADER_CHARACTERS_MAX and "\0" not in value else _storable(value)
        for name, value in islice(headers.items(), HEADERS_MAX + len(SECRET_HEADERS))
        if name not in SECRET_HEADERS
    }
    return kept if len(kept) <= HEADERS_MAX else dict(islice(kept.items(), HEADERS_MAX))


def _storable(value: str) -> str:
    return value[:HEADER_CHARACTERS_MAX].replace("\0", "")


def check_source(address: str, allowed: Sequence[Network]) -> None:
    """Raises WebhookSourceRefused unless *address* is in one of the *allowed* networks; none means anybody."""
    if not allowed:
        return
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        parsed = None
    if parsed is None or not any(parsed in network for network in allowed):
        raise WebhookSourceRefused("this address is not one of the gateway's")


class Report(msgspec.Struct, frozen=True):
    """What payment says about a webhook: one row of its history."""

    event_id: UUID
    webhook_id: UUID
    gateway: str
    status: Status
    reason: str
    attempt: int
    at: datetime
    # APPLIED, NO_EFFECT or PARKED, where it was processed.
    outcome: str = ""
    payment_id: UUID | None = None


class Progress(msgspec.Struct, frozen=True):
    """The mutable part of a stored webhook."""

    webhook_id: UUID
    status: Status
    retry_count: int
    failure_reason: str | None
    processed_at: datetime | None


def follow(progress: Progress, report: Report) -> Progress:
    """*progress* after *report*. Commutes: the same reports in any order lead to the same place."""
    moved = msgspec.structs.replace(progress, retry_count=max(progress.retry_count, report.attempt))
    rank, reported_rank = RANK[progress.status], RANK[report.status]
    at = report.at if report.status in FINAL else None
    is_earlier = at is not None and (progress.processed_at is None or at < progress.processed_at)
    if reported_rank > rank or (reported_rank == rank and is_earlier):
        reason = report.reason if report.status in FAILURES else None
        return msgspec.structs.replace(moved, status=report.status, failure_reason=reason or None, processed_at=at)
    return moved


def follow_all(progress: Mapping[UUID, Progress], reports: Iterable[Report]) -> dict[UUID, Progress]:
    """Those webhooks of *progress* that *reports* moved, as they are now."""
    moved: dict[UUID, Progress] = {}
    for report in reports:
        before = moved.get(report.webhook_id) or progress[report.webhook_id]
        after = follow(before, report)
        if after != before:
            moved[report.webhook_id] = after
    return moved
