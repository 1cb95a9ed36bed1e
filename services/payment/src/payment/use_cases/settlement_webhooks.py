"""A webhook about a settlement is a reason to read the account's settlements soon, not a fact."""

from collections.abc import Collection
from datetime import datetime, timedelta

from common.database import Tx
from payment.domain.invoices import IST
from payment.store import settlement_imports, settlements

# A settlement is listed by the day on which it was begun, which is before the one on which it was paid out.
_BEGUN_BEFORE = timedelta(days=3)


async def request_imports(tx: Tx, named: Collection[tuple[str, str]], now: datetime) -> None:
    """Let these accounts be imported soon; *named* are account ids and the gateway's ids of settlements.

    A settlement that changes long after its day is read again, however long ago that was.
    """
    today = now.astimezone(IST).date()
    firsts = {account_id: today for account_id, _ in named}
    known = await settlements.by_gateway_ids(tx, sorted(named))
    for settlement in known:
        begun = (settlement.settled_at or settlement.imported_at).astimezone(IST).date() - _BEGUN_BEFORE
        firsts[settlement.gateway_account_id] = min(firsts[settlement.gateway_account_id], begun)
    for account_id in sorted(firsts):
        await settlement_imports.request(tx, account_id, firsts[account_id], today, now)
