"""Which payments a page of a user's history shows."""

from datetime import datetime
from uuid import UUID

import msgspec

from payment.domain.states import Status


class HistoryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A user's payments, newest first; *before* is the last payment of the page before."""

    user_id: str
    status: Status | None = None
    gateway: str = ""
    since: datetime | None = None
    until: datetime | None = None
    before: UUID | None = None
    limit: int
    skip: int = 0
