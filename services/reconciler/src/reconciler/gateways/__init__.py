"""The services of the fleet, as reconciliation sees them: announcements, claims, sums; payments, settlements."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from reconciler.domain.deliveries import PublishedEnvelope
from reconciler.domain.records import AccountSum, Grant, PaymentRecord, RefundRecord, Settlement, SettlementRow

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


# Payments of one page of matching: what a call about them may name at most.
MATCHING_PAGE = 500


class MatchingSources(Protocol):
    """What the fleet knows of payments and settlements. Every method raises DomainError when a service does not answer
    or refuses. A page is named by the cursor of the one before; "" is the first, and after the last."""

    async def changed_payments(
        self, since: datetime, until: datetime, page: str
    ) -> tuple[Sequence[PaymentRecord], str]:
        """Payments that changed in [since, until), at most MATCHING_PAGE, and the next page."""
        ...

    async def changed_settlements(
        self, since: datetime, until: datetime, page: str
    ) -> tuple[Sequence[Settlement], str]:
        """Settlements that changed in [since, until), and the next page."""
        ...

    async def changed_refunds(self, since: datetime, until: datetime, page: str) -> tuple[Sequence[RefundRecord], str]:
        """Refunds that changed in [since, until), at most MATCHING_PAGE, and the next page."""
        ...

    async def payments(self, payment_ids: Sequence[str]) -> Sequence[PaymentRecord]:
        """At most MATCHING_PAGE payments by their ids; those that exist."""
        ...

    async def rows_of_payments(self, payment_ids: Sequence[str]) -> Sequence[SettlementRow]:
        """The rows of at most MATCHING_PAGE payments."""
        ...

    async def rows_of_settlement(self, settlement_id: str, page: str) -> tuple[Sequence[SettlementRow], str]:
        """Rows of one settlement, and the next page."""
        ...

    async def refunds(self, payment_ids: Sequence[str]) -> Sequence[RefundRecord]:
        """The refunds of at most MATCHING_PAGE payments."""
        ...

    async def grants(self, payment_ids: Sequence[str]) -> Mapping[str, Grant]:
        """What was granted for at most MATCHING_PAGE payments, by payment."""
        ...

    async def sums(self, payment_ids: Sequence[str]) -> Mapping[str, Sequence[AccountSum]]:
        """What was booked about at most MATCHING_PAGE payments, by payment."""
        ...
