"""The services of the fleet, as reconciliation sees them: what was announced, what was claimed, what it adds up to."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from reconciler.domain.deliveries import PublishedEnvelope

# At most so many ids or envelopes in one call.
PAGE = 1000


class Peer(Protocol):
    """One service. Every method raises DomainError when the service does not answer or refuses."""

    async def published(self, since: datetime, until: datetime, after: UUID | None) -> Sequence[PublishedEnvelope]:
        """Envelopes announced in [since, until), oldest first, at most a page; those after *after*."""
        ...

    async def claimed(self, queue: str, envelope_ids: Collection[UUID]) -> set[UUID]:
        """Which of at most a page of envelopes its consumer of *queue* has claimed."""
        ...

    async def republish(self, queue: str, envelope_ids: Collection[UUID]) -> int:
        """Announce at most a page of its envelopes once more, to *queue* alone; says how many it still had."""
        ...

    async def totals(self, *, verify: bool) -> dict[str, int]:
        """The sums that books are compared by, all of one moment; with *verify* it adds up all its rows for that."""
        ...
