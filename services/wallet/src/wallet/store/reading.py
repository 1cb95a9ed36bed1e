"""Questions: doors that read, stories, totals and the check of balances. None of them locks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from common.database import Tx
from common.money import Money
from wallet.domain import GRANT_KEY, LotSum, Owner, Pack, Transaction, TransactionType, Wallet
from wallet.store.moving import owner_columns, transaction_of, wallet_of

_WALLET = """
w.wallet_id, w.merchant_id, w.owner_kind, w.owner_id, w.currency, w.available, w.locked, w.pending,
w.lifetime_purchased, w.seq
"""

_TRANSACTION = """
t.transaction_id, t.wallet_id, w.merchant_id, w.owner_kind, w.owner_id, t.type, t.credits_paid, t.credits_bonus,
t.value_minor, w.currency, t.balance_before, t.balance_after, t.seq, t.source, t.source_id, t.operation_key,
t.created_at
"""

_WALLETS_OF = f"""
select {_WALLET}
from unnest(cast(:merchant_ids as text[]), cast(:kinds as text[]), cast(:owner_ids as text[]))
     as o (merchant_id, owner_kind, owner_id)
join wallets w using (merchant_id, owner_kind, owner_id)
"""

_WALLETS_BY_ID = f"select {_WALLET} from wallets w where w.wallet_id = any(cast(:ids as uuid[]))"

_LOT_SUMS = """
select expires_at, coalesce(sum(remaining) filter (where kind = 'PAID'), 0) as paid,
       coalesce(sum(remaining) filter (where kind = 'BONUS'), 0) as bonus
from credit_lots where wallet_id = :wallet_id and is_open
group by expires_at order by expires_at
"""

_TRANSACTIONS_PAGE = f"""
select {_TRANSACTION}
from wallets w join wallet_transactions t using (wallet_id)
where w.owner_id = :owner_id and w.owner_kind = :kind and w.merchant_id = :merchant_id
  and (cast(:before_seq as bigint) is null or t.seq < :before_seq)
  and (cast(:type as text) is null or t.type = :type)
  and (cast(:since as timestamptz) is null or t.created_at >= :since)
  and (cast(:until as timestamptz) is null or t.created_at < :until)
order by t.seq desc limit :rows
"""

_PACKS_ON_SALE = """
select pack_id, version, name, price_minor, currency, credits_paid, credits_bonus
from packs
where merchant_id = :merchant_id and active_from <= :now and (active_to is null or active_to > :now)
order by price_minor, pack_id
"""

# A payment's story is its grant and every spend that burnt one of its lots.
_STORY = f"""
with bought as (select wallet_id, lot_id from credit_lots where payment_id = :payment_id)
select {_TRANSACTION}
from wallets w join wallet_transactions t using (wallet_id)
where w.wallet_id in (
        select wallet_id from bought
        union all select wallet_id from wallets where wallet_id = :wallet_id
        union all select wallet_id from wallets where owner_id = :owner_id
        union all select wallet_id from wallet_transactions where transaction_id = :transaction_id)
  and (cast(:payment_id as uuid) is null
       or t.operation_key = :grant_key or t.burnt_lots && array(select lot_id from bought))
  and (cast(:transaction_id as uuid) is null or t.transaction_id = :transaction_id)
order by t.created_at desc, t.seq desc limit :rows
"""

# What a wallet should hold, twice: by its transactions, which count from 1 without a gap, each beginning with the
# balance that the one before left; and by its lots.
_MISMATCHED = """
select w.wallet_id
from wallets w
left join lateral (
    select count(*) as number, max(seq) as top, sum(credits) as credits,
           bool_and(balance_before = coalesce(left_before, 0)) as chained
    from (select seq, credits, balance_before, lag(balance_after) over (order by seq) as left_before
          from wallet_transactions where wallet_id = w.wallet_id) chain
) t on true
left join lateral (
    select sum(remaining) as remaining from credit_lots where wallet_id = w.wallet_id
) l on true
where w.wallet_id = any(cast(:ids as uuid[]))
  and (w.seq <> t.number or w.seq <> coalesce(t.top, 0) or w.available <> coalesce(t.credits, 0)
       or w.available + w.locked <> coalesce(l.remaining, 0) or not coalesce(t.chained, true))
order by w.wallet_id
"""

# One statement, so that all sums are of one moment.
_TOTALS = """
with moved as (
    select wallet_id, count(*) as number, max(seq) as top, sum(credits) as credits,
           count(*) filter (where type = 'GRANT') as grants,
           coalesce(sum(credits) filter (where type = 'GRANT'), 0) as granted,
           coalesce(sum(value_minor) filter (where type = 'GRANT'), 0) as granted_value,
           count(*) filter (where type = 'CONSUME') as consumptions,
           coalesce(-sum(credits) filter (where type = 'CONSUME'), 0) as consumed,
           coalesce(sum(value_minor) filter (where type = 'CONSUME'), 0) as consumed_value
    from wallet_transactions group by wallet_id
), held as (
    select wallet_id, coalesce(sum(remaining) filter (where kind = 'PAID'), 0) as paid,
           coalesce(sum(remaining) filter (where kind = 'BONUS'), 0) as bonus, sum(value_left_minor) as value_left
    from credit_lots group by wallet_id
)
select count(w.wallet_id) as "wallets.count",
       coalesce(sum(w.available), 0) as "wallets.available",
       coalesce(sum(w.locked), 0) as "wallets.locked",
       count(*) filter (where w.wallet_id is null or w.seq <> coalesce(m.number, 0) or w.seq <> coalesce(m.top, 0)
           or w.available <> coalesce(m.credits, 0)
           or w.available + w.locked <> coalesce(h.paid + h.bonus, 0)) as "wallets.mismatched",
       coalesce(sum(h.paid), 0) as "lots.remaining.paid",
       coalesce(sum(h.bonus), 0) as "lots.remaining.bonus",
       coalesce(sum(h.value_left) filter (where w.currency = 'INR'), 0) as "lots.value_minor",
       coalesce(sum(m.number), 0) as "transactions.count",
       coalesce(sum(m.grants), 0) as "grants.count",
       coalesce(sum(m.granted), 0) as "grants.credits",
       coalesce(sum(m.granted_value) filter (where w.currency = 'INR'), 0) as "grants.value_minor",
       coalesce(sum(m.consumptions), 0) as "consumed.count",
       coalesce(sum(m.consumed), 0) as "consumed.credits",
       coalesce(sum(m.consumed_value) filter (where w.currency = 'INR'), 0) as "consumed.value_minor"
from wallets w full join moved m on m.wallet_id = w.wallet_id left join held h on h.wallet_id = w.wallet_id
"""


async def wallets_of(tx: Tx, owners: Collection[Owner]) -> dict[Owner, Wallet]:
    """The wallets of those owners that have one, without their lots."""
    rows = await tx.execute(_WALLETS_OF, **owner_columns(list(owners)))
    return {wallet.owner: wallet for wallet in map(wallet_of, rows)}


async def wallets_by_id(tx: Tx, ids: Collection[UUID]) -> list[Wallet]:
    rows = await tx.execute(_WALLETS_BY_ID, ids=list(ids))
    return [wallet_of(row) for row in rows]


async def lot_sums(tx: Tx, wallet_id: UUID) -> list[LotSum]:
    """Open credits by expiry, soonest first, never last."""
    rows = await tx.execute(_LOT_SUMS, wallet_id=wallet_id)
    return [LotSum(row.expires_at, int(row.paid), int(row.bonus)) for row in rows]


async def transactions_page(
    tx: Tx,
    owner: Owner,
    limit: int,
    *,
    before_seq: int | None = None,
    type: TransactionType | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Transaction]:
    """Newest first; *since* is included, *until* is not."""
    rows = await tx.execute(
        _TRANSACTIONS_PAGE,
        merchant_id=owner.merchant_id,
        kind=owner.kind,
        owner_id=owner.id,
        rows=limit,
        before_seq=before_seq,
        type=type,
        since=since,
        until=until,
    )
    return [transaction_of(row) for row in rows]


async def packs_on_sale(tx: Tx, merchant_id: str, now: datetime) -> list[Pack]:
    """Cheapest first."""
    rows = await tx.execute(_PACKS_ON_SALE, merchant_id=merchant_id, now=now)
    return [
        Pack(
            row.pack_id,
            row.version,
            row.name,
            Money(row.price_minor, row.currency),
            row.credits_paid,
            row.credits_bonus,
        )
        for row in rows
    ]


async def story_transactions(
    tx: Tx,
    limit: int,
    *,
    reference: str,
    payment_id: UUID | None = None,
    wallet_id: UUID | None = None,
    transaction_id: UUID | None = None,
    owner_id: str | None = None,
) -> Sequence[Transaction]:
    """What belongs to one payment, wallet, transaction or owner: the newest *limit*, oldest first."""
    rows = await tx.execute(
        _STORY,
        payment_id=payment_id,
        wallet_id=wallet_id,
        transaction_id=transaction_id,
        owner_id=owner_id,
        grant_key=GRANT_KEY + reference,
        rows=limit,
    )
    return [transaction_of(row) for row in rows][::-1]


async def mismatched(tx: Tx, wallet_ids: Collection[UUID]) -> list[UUID]:
    """Those wallets whose balance is not what their transactions and their lots come to."""
    rows = await tx.execute(_MISMATCHED, ids=list(wallet_ids))
    return list(rows.scalars())


async def totals(tx: Tx) -> dict[str, int]:
    """Sums over all wallets, by the names that the README explains."""
    row = (await tx.execute(_TOTALS)).one()
    return {name: int(value) for name, value in row.items()}
