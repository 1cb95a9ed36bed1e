"""What every event has in common: its head, times on the wire, a line for the audit log, an alert for the operators."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, TypedDict
from uuid import UUID

import msgspec

from commdesk.common.v1.events_pb2 import AdminAlertRaised, AuditRecorded
from common import context, ids
from common.times import END, TimeOutOfRange

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EVENT: Final = "evt"


class Head(TypedDict):
    """The two fields that every event begins with."""

    event_id: str
    time_unix_micros: int


class Origin(Protocol):
    """Where a request came from. `common.context.Context` is one."""

    @property
    def ip(self) -> str: ...
    @property
    def user_agent(self) -> str: ...
    @property
    def trace_id(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def correlation_id(self) -> str: ...


def micros(moment: datetime) -> int:
    """Microseconds since 1970, exactly: `datetime.timestamp` would go through a float."""
    delta = moment - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


_END_MICROS: Final = micros(END)


def bounded_micros(unix_micros: int) -> int:
    """*unix_micros*, for what keeps times as numbers. Raises TimeOutOfRange before 1970 and from 2100 on."""
    if not 0 <= unix_micros < _END_MICROS:
        raise TimeOutOfRange("a time is out of range")
    return unix_micros


def from_micros(unix_micros: int) -> datetime:
    """The moment, exactly, in UTC. Raises TimeOutOfRange before 1970 and from 2100 on."""
    return EPOCH + timedelta(microseconds=bounded_micros(unix_micros))


def head(at: datetime, event_id: UUID | None = None) -> Head:
    """`PaymentSucceeded(**head(at), …)`: the id, a fresh one unless given, and the time."""
    return {"event_id": ids.encode(EVENT, event_id or ids.new()), "time_unix_micros": micros(at)}


def audit(
    action: str,
    resource: tuple[str, str],
    *,
    service: str,
    at: datetime,
    merchant_id: str,
    actor_id: str,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    origin: Origin | None = None,
    event_id: UUID | None = None,
    payment_id: str = "",
) -> AuditRecorded:
    """A line for the audit log: who did what to which (type, id), about which payment when that is another.

    *before* and *after* hold no personal data and no secrets. *origin* is the present context unless given.
    """
    now = context.current()
    source = origin or now
    return AuditRecorded(
        **head(at, event_id),
        merchant_id=merchant_id,
        actor_id=actor_id,
        action=action,
        resource_type=resource[0],
        resource_id=resource[1],
        before_json=_compact(before),
        after_json=_compact(after),
        ip=source.ip,
        user_agent=source.user_agent,
        # In a batch for several requests the outbox fills in the trace of the one that it is about.
        trace_id=source.trace_id if source is not now else "" if now.links else now.trace_id,
        request_id=source.request_id,
        correlation_id=source.correlation_id,
        payment_id=payment_id,
        service=service,
    )


def alert(
    cause: str,
    summary: str,
    *,
    service: str,
    at: datetime,
    fields: Mapping[str, str] | None = None,
    event_id: UUID | None = None,
) -> AdminAlertRaised:
    """What an operator should know, in one sentence with ids; *summary* and *fields* hold no personal data."""
    return AdminAlertRaised(
        **head(at, event_id), cause=cause, service=service, summary=summary, fields=dict(fields or {})
    )


def _compact(state: Mapping[str, object] | None) -> str:
    return "" if state is None else msgspec.json.encode(state).decode()
