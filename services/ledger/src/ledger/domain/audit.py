"""Who did what to what: the record of one financial or administrative action."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class AuditRecord(Struct, frozen=True):
    """One audited action, as it is kept."""

    audit_id: UUID
    time_unix_micros: int
    merchant_id: str
    actor_id: str
    action: str
    resource_type: str
    resource_id: str
    before_state: str | None
    after_state: str | None
    ip_address: str
    user_agent: str
    trace_id: str
    request_id: str
    correlation_id: str
    service: str


class AuditFilter(Struct, frozen=True):
    """Which records, newest first: about a resource, by an actor, or by or about *either*; of a merchant, an action, a
    time; before the record where the last page ended."""

    limit: int
    resource_id: str | None = None
    actor_id: str | None = None
    either: str | None = None
    merchant_id: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: UUID | None = None
