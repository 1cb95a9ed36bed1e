"""The last alert about each type of webhook that no code handles."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from common.database import Tx

_TYPES = (
    "select gateway_account_id, type from unhandled_webhooks where gateway_account_id = any(cast(:accounts as text[]))"
)
_CLAIM = """
insert into unhandled_webhooks as u (gateway_account_id, type, webhook_id, alerted_at)
select account, type, webhook_id, :now
from unnest(cast(:accounts as text[]), cast(:types as text[]), cast(:webhook_ids as text[]))
     as row (account, type, webhook_id)
order by account, type
on conflict (gateway_account_id, type) do update set webhook_id = excluded.webhook_id, alerted_at = excluded.alerted_at
    where u.alerted_at <= cast(:now as timestamptz) - cast(:window as interval)
returning gateway_account_id, type
"""


async def known_types(tx: Tx, accounts: set[str]) -> dict[str, set[str]]:
    """By account, the types that there was an alert about, ever."""
    types: dict[str, set[str]] = {account: set() for account in accounts}
    for row in await tx.execute(_TYPES, accounts=sorted(accounts)):
        types[row.gateway_account_id].add(row.type)
    return types


async def claim_alerts(
    tx: Tx, webhook_ids: Mapping[tuple[str, str], str], now: datetime, window: timedelta
) -> set[tuple[str, str]]:
    """Of these accounts and types, those about which there was no alert within *window*: it is the caller's now."""
    keys = sorted(webhook_ids)
    rows = await tx.execute(
        _CLAIM,
        now=now,
        window=window,
        accounts=[account for account, _ in keys],
        types=[type_name for _, type_name in keys],
        webhook_ids=[webhook_ids[key] for key in keys],
    )
    return {(row.gateway_account_id, row.type) for row in rows}
