"""How far each account is imported: one row, leased to the process that reads on."""

from datetime import date, datetime

from common.database import Row, Tx
from payment.domain.settlements import ImportState

# A first import begins here; what is due is leased, and nothing is when somebody else holds it.
_LEASE = """
insert into settlement_imports as i (gateway_account_id, window_first, window_last, due_at, leased_until)
values (:account, :first, :last, :now, :until)
on conflict (gateway_account_id) do update set leased_until = :until
where i.due_at <= :now and (i.leased_until is null or i.leased_until <= :now)
returning *
"""
_ADVANCE = """
update settlement_imports set window_first = :first, window_last = :last, cursor = :cursor
where gateway_account_id = :account and leased_until = :lease
"""
_RELEASE = """
update settlement_imports
set leased_until = null, due_at = :due_at, completed_at = coalesce(cast(:completed_at as timestamptz), completed_at)
where gateway_account_id = :account and leased_until = :lease
"""
# What is being read goes on; a window that begins earlier is read from its first day.
_REQUEST = """
insert into settlement_imports as i (gateway_account_id, window_first, window_last, due_at)
values (:account, :first, :last, :now)
on conflict (gateway_account_id) do update
set due_at = :now,
    cursor = case when excluded.window_first < i.window_first then '' else i.cursor end,
    window_first = least(i.window_first, excluded.window_first),
    leased_until = case when excluded.window_first < i.window_first then null else i.leased_until end
"""


async def lease(tx: Tx, account_id: str, first: date, last: date, now: datetime, until: datetime) -> ImportState | None:
    """The account's import, for this process until *until*; None when it is not due, or another's."""
    row = (await tx.execute(_LEASE, account=account_id, first=first, last=last, now=now, until=until)).first()
    return _state(row) if row else None


async def advance(tx: Tx, state: ImportState) -> bool:
    """Go on at *state*; False when the lease is not this process's any more."""
    rows = await tx.execute(
        _ADVANCE + " returning 1",
        account=state.gateway_account_id,
        first=state.first,
        last=state.last,
        cursor=state.cursor,
        lease=state.leased_until,
    )
    return rows.first() is not None


async def release(tx: Tx, state: ImportState, due_at: datetime, completed_at: datetime | None) -> None:
    await tx.execute(
        _RELEASE,
        account=state.gateway_account_id,
        lease=state.leased_until,
        due_at=due_at,
        completed_at=completed_at,
    )


async def request(tx: Tx, account_id: str, first: date, last: date, now: datetime) -> None:
    """Import soon, from *first* on at the latest."""
    await tx.execute(_REQUEST, account=account_id, first=first, last=last, now=now)


def _state(row: Row) -> ImportState:
    return ImportState(
        gateway_account_id=row["gateway_account_id"],
        first=row["window_first"],
        last=row["window_last"],
        cursor=row["cursor"],
        leased_until=row["leased_until"],
    )
