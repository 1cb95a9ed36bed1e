"""Import what the gateways paid out, page by page: read, then save in a transaction of its own, then the next page.

Repeatable at every point: a settlement is taken over when it differs, a row is kept once, and how far an account is
read lies in the database. What was read is booked by `settlement.imported`, which says what changed.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from google.protobuf.message import Message

from common import ids, outbox
from common.clock import Clock
from common.database import Database, retried
from gateways import Gateway, Gateways, Unknown
from gateways.settlements import SettlementPage, SettlementRow, SettlementRowPage
from payment.domain.invoices import IST
from payment.domain.settlements import NOTHING, Account, ImportState, Settlement, chunk, contradicts, take_over
from payment.store import settlement_imports, settlements
from payment.use_cases import metrics, settled_payments
from payment.wire import settlement_events

# A page with its rows is read and saved well within this; a process that dies delays the import by it.
LEASE = timedelta(minutes=5)
SETTLEMENTS_AT_ONCE = 50


class ImportSettings(msgspec.Struct, frozen=True):
    """Of a day, settlements change for *days* after it; *pages_per_minute* are read of each account."""

    every_seconds: float
    days: int
    pages_per_minute: int
    timeout_seconds: float
    merchant_id: str


class Imported(msgspec.Struct):
    """What one run read; counted while it works."""

    settlements: int = 0
    rows: int = 0
    is_complete: bool = True


class SettlementImports(msgspec.Struct, frozen=True):
    """Safe to run N times: an account is leased to one process, and a page is saved by the lease's holder alone."""

    db: Database
    clock: Clock
    gateways: Gateways
    settings: ImportSettings
    job_seconds: float

    async def run(self) -> int:
        """Import what is due of every account, within its pages; how many settlements and rows were read."""
        imported = await self.run_accounts()
        return imported.settlements + imported.rows

    async def run_accounts(self) -> Imported:
        total = Imported()
        for gateway in self.gateways.values():
            imported = await self._run_account(gateway)
            total.settlements += imported.settlements
            total.rows += imported.rows
            total.is_complete &= imported.is_complete
        return total

    async def request(self, days: int) -> None:
        """Let every account be due now, from *days* ago on; 0 is what the settings say."""
        now = self.clock.now()
        today = now.astimezone(IST).date()
        first = today - timedelta(days=(days or self.settings.days) - 1)
        async with self.db.begin() as tx:
            for account_id in sorted(self.gateways):
                await settlement_imports.request(tx, account_id, first, today, now)

    async def _run_account(self, gateway: Gateway) -> Imported:
        now = self.clock.now()
        today = now.astimezone(IST).date()
        account = Account(gateway.account.id, gateway.account.gateway, self.settings.merchant_id)
        first = today - timedelta(days=self.settings.days - 1)
        async with self.db.begin() as tx:
            state = await settlement_imports.lease(tx, account.id, *chunk(first, today), now, now + LEASE)
        if state is None:
            return Imported(is_complete=False)
        if not state.cursor:
            # Days that were read before are read again: settlements change after their day.
            first, last = chunk(min(state.first, first), today)
            state = msgspec.structs.replace(state, first=first, last=last)
        work = _Work(self, gateway, account, state, max(1, int(self.settings.pages_per_minute * self.job_seconds / 60)))
        imported = Imported()
        try:
            imported.is_complete = await work.read_settlements(imported) and await work.read_rows(imported)
            await work.tell_payments()
        finally:
            wait = self.settings.every_seconds if imported.is_complete else self.job_seconds
            async with self.db.begin() as tx:
                completed_at = now if imported.is_complete else None
                await settlement_imports.release(tx, work.state, now + timedelta(seconds=wait), completed_at)
        return imported


class _Work:
    """One account while it is read."""

    def __init__(
        self, imports: SettlementImports, gateway: Gateway, account: Account, state: ImportState, pages: int
    ) -> None:
        self.state = state
        self._imports = imports
        self._db = imports.db
        self._gateway = gateway
        self._account = account
        self._pages = pages

    async def read_settlements(self, imported: Imported) -> bool:
        """Read the days that are due up to today; whether that was all of them."""
        today = self._imports.clock.now().astimezone(IST).date()
        while self._pages > 0:
            self._pages -= 1
            timeout_seconds = self._imports.settings.timeout_seconds
            page = await self._gateway.read_settlements(self.state.window, self.state.cursor, timeout_seconds)
            if isinstance(page, Unknown):
                return False
            is_last = not page.next_cursor and self.state.last >= today
            following = msgspec.structs.replace(self.state, cursor=page.next_cursor)
            if not page.next_cursor:
                # The next pass begins with today, and goes back as far as the settings say.
                first, last = chunk(self.state.last + timedelta(days=1), today)
                following = msgspec.structs.replace(following, first=first, last=last)
            if not await save_settlements(self._db, self._account, page, following, self._imports.clock.now()):
                return False
            self.state = following
            imported.settlements += len(page.settlements)
            if is_last:
                return True
        return False

    async def read_rows(self, imported: Imported) -> bool:
        """Read the rows of settlements that are new or changed; whether all of them were read."""
        while True:
            async with self._db.begin() as tx:
                due = await settlements.with_rows_due(tx, self._account.id, SETTLEMENTS_AT_ONCE)
            if not due:
                return True
            for settlement in due:
                if not await self._read_rows_of(settlement, imported):
                    return False

    async def _read_rows_of(self, settlement: Settlement, imported: Imported) -> bool:
        current: Settlement | None = settlement
        while current is not None and current.rows_due:
            if self._pages <= 0:
                return False
            self._pages -= 1
            page = await self._gateway.read_settlement_rows(
                current.gateway_settlement_id, current.rows_cursor, self._imports.settings.timeout_seconds
            )
            if isinstance(page, Unknown):
                return False
            current = await save_rows(self._db, current, page, self._imports.clock.now())
            imported.rows += len(page.rows)
        # None: somebody else read on, or the settlement changed meanwhile and is due again.
        return True

    async def tell_payments(self) -> None:
        """Let payments know what became of their settlements."""
        while True:
            async with self._db.begin() as tx:
                due = await settlements.with_payments_due(tx, self._account.id, SETTLEMENTS_AT_ONCE)
            if not due:
                return
            for settlement in due:
                await settled_payments.tell(self._db, settlement.id, self._imports.clock)


@retried
async def save_settlements(
    db: Database, account: Account, page: SettlementPage, following: ImportState, now: datetime
) -> bool:
    """Take a page over and go on at *following*; False, and nothing is saved, when the lease is not ours any more."""
    shown = {each.gateway_settlement_id: each for each in page.settlements}
    messages: list[Message] = []
    async with db.begin() as tx:
        if not await settlement_imports.advance(tx, following):
            return False
        known = await settlements.lock_settlements(tx, account.id, shown)
        changed: list[Settlement] = []
        for gateway_id in sorted(shown):
            outcome = take_over(known.get(gateway_id), shown[gateway_id], account, ids.new(), now)
            if outcome is None:
                continue
            settlement, delta = outcome
            changed.append(settlement)
            if delta != NOTHING:
                messages.append(settlement_events.imported(settlement, delta, now))
        await settlements.save_settlements(tx, changed)
        if page.unreadable:
            messages.append(settlement_events.unreadable_settlements(account, page.unreadable, now))
        await outbox.append(tx, messages)
    for settlement in changed:
        metrics.settlement_imported(settlement)
    return True


@retried
async def save_rows(db: Database, settlement: Settlement, page: SettlementRowPage, now: datetime) -> Settlement | None:
    """Keep a page's rows and go on behind it; None, and nothing is kept, when the settlement is not as it was read.

    A row that contradicts what is kept does not hold up the others: it is noted, and alerted once.
    """
    shown: dict[str, SettlementRow] = {}
    conflicting: dict[str, SettlementRow] = {}
    for row in page.rows:
        first = shown.setdefault(row.row_id, row)
        if contradicts(first, row):
            conflicting[row.row_id] = row
    async with db.begin() as tx:
        current = await settlements.lock_settlement(tx, settlement.id)
        if (current.seq, current.rows_cursor) != (settlement.seq, settlement.rows_cursor) or not current.rows_due:
            return None
        added = await settlements.add_rows(tx, current, shown, now)
        kept = await settlements.rows_by_id(tx, current, shown.keys() - added)
        conflicting |= {
            row_id: shown[row_id] for row_id, stored in kept.items() if contradicts(stored.row, shown[row_id])
        }
        new = await settlements.add_conflicts(tx, current, list(conflicting.values()), now)
        after = msgspec.structs.replace(
            current,
            rows_due=bool(page.next_cursor),
            rows_cursor=page.next_cursor,
            payments_due=current.payments_due or bool(added),
            unreadable=(current.unreadable if current.rows_cursor else 0) + page.unreadable,
        )
        await settlements.save_settlements(tx, [after])
        await outbox.append(tx, _row_alerts(after, current, sorted(new), page.unreadable, now))
    metrics.settlement_rows_imported(added, shown)
    return after


def _row_alerts(
    settlement: Settlement, before: Settlement, new_conflicts: Sequence[str], unreadable: int, now: datetime
) -> list[Message]:
    messages: list[Message] = []
    if new_conflicts:
        messages.append(settlement_events.conflicting_rows(settlement, new_conflicts, now))
    if unreadable and not (before.rows_cursor and before.unreadable):
        messages.append(settlement_events.unreadable_rows(settlement, unreadable, now))
    return messages
