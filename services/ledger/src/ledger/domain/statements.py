"""Statements: what was booked on an account, or about an owner, in a time."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class Position(Struct, frozen=True):
    """Behind which entry a page goes on."""

    journal_id: UUID
    line: int


class StatementFilter(Struct, frozen=True):
    """Entries of a merchant that count from *since* on and before *until*."""

    merchant_id: str
    since: datetime
    until: datetime
    limit: int
    account_id: int | None = None
    owner_id: str | None = None
    after: Position | None = None


class StatementLine(Struct, frozen=True):
    """One entry, with what its journal says of it. *counted_at* differs from *effective_at* when that was in a closed
    period."""

    journal_id: UUID
    line: int
    account: str
    asset: str
    debit: int
    credit: int
    template: str
    cause_id: UUID
    reference_prefix: str
    reference: UUID
    actor_id: str
    owner_id: str
    reason: str
    effective_at: datetime
    booked_at: datetime
    counted_at: datetime
