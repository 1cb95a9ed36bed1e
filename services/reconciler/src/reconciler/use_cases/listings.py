"""Lists of runs and cases, for the platform's staff."""

from msgspec import Struct

from common.database import Database
from reconciler.domain import access
from reconciler.domain.runs import Case, CaseStatus, Position, Run
from reconciler.store import queries


class Listings(Struct, frozen=True):
    """Runs and cases as the staff of *platform_merchant_id* may see them."""

    db: Database
    platform_merchant_id: str

    async def list_runs(self, merchant_id: str, limit: int, after: Position | None) -> list[Run]:
        """At most *limit* runs, newest first. Raises MerchantNotPlatform."""
        access.require_platform(merchant_id, self.platform_merchant_id)
        async with self.db.begin() as tx:
            return await queries.runs(tx, limit, after)

    async def list_cases(
        self, merchant_id: str, status: CaseStatus | None, limit: int, after: Position | None = None
    ) -> list[Case]:
        """At most *limit* cases, newest first. Raises MerchantNotPlatform."""
        access.require_platform(merchant_id, self.platform_merchant_id)
        async with self.db.begin() as tx:
            return await queries.cases(tx, status, limit, after)
