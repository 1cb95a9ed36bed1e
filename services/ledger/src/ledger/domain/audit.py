"""Who did what to what: the record of one financial or administrative action."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID


class AuditRecord(NamedTuple):
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
    service: str
