"""The rules of the platform fee, kept in memory."""

from collections.abc import Sequence

from common.database import Database
from payment.domain.pricing import FeeRule
from payment.store import fee_rules

REFRESH_SECONDS = 60


class FeeRuleCache:
    """The fee rules as of the last refresh."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.rules: Sequence[FeeRule] = ()

    async def refresh(self) -> None:
        async with self._db.begin() as tx:
            self.rules = await fee_rules.fee_rules(tx)
