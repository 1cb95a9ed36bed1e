"""Audit events off the broker; no decisions."""

from operator import attrgetter

import msgspec

from commdesk.common.v1 import events_pb2 as common_events
from common import ids
from common.errors import InvalidArgument
from common.events import bounded_micros
from ledger.domain.audit import AuditRecord


class AuditMalformed(InvalidArgument):
    """An audit event has a state that is not JSON, or a text that a database cannot hold."""

    fix = "Correct the announcing service; states are compact JSON or empty."


# Those that no decoder looks into: JSON has no NUL, and ids have their own characters.
_texts_of = attrgetter(
    "merchant_id", "actor_id", "action", "resource_type", "resource_id", "ip_address", "user_agent", "trace_id",
    "request_id", "correlation_id", "service",
)  # fmt: skip


def audit_recorded(message: common_events.AuditRecorded) -> AuditRecord:
    record = AuditRecord(
        ids.decode("evt", message.event_id),
        bounded_micros(message.time_unix_micros),
        message.merchant_id,
        message.actor_id,
        message.action,
        message.resource_type,
        message.resource_id,
        _state(message.before_json),
        _state(message.after_json),
        message.ip,
        message.user_agent,
        message.trace_id,
        message.request_id,
        message.correlation_id,
        message.service,
    )
    if "\0" in "".join(_texts_of(record)):
        raise AuditMalformed("a field holds a NUL character")
    return record


def _state(text: str) -> str | None:
    if not text:
        return None
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise AuditMalformed("a state is not JSON") from None
    if "\\u0000" in text:
        raise AuditMalformed("a state holds a NUL character")
    return text
