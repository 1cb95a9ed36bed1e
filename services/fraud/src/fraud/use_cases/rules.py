"""The rules in force."""

from collections.abc import Sequence

from common.database import Database
from fraud.domain.rules import Rule
from fraud.store import queries


class RuleCache:
    """The rules as they were read last; while the database is away the last ones stay in force."""

    def __init__(self) -> None:
        self.rules: Sequence[Rule] = ()

    async def refresh(self, db: Database) -> None:
        async with db.begin() as tx:
            self.rules = tuple(await queries.enabled_rules(tx))
