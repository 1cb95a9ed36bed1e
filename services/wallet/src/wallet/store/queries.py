"""What is read: wallets, pages of transactions, packs, timelines, totals and the check of balances. Nothing locks."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select

from common import checkpoints, statements
from common.database import Tx
from wallet.domain.operations import grant_key
from wallet.domain.wallets import LotSum, Owner, Pack, TimelineSubject, Transaction, TransactionFilter, Wallet
from wallet.store import rows
from wallet.store.tables import wallet_transactions as t
from wallet.store.tables import wallets as w

_WALLET = """
w.wallet_id, w.merchant_id, w.owner_kind, w.owner_id, w.currency, w.available, w.locked, w.pending,
w.lifetime_purchased, w.seq
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

_PACKS_ON_SALE = """
select pack_id, version, name, price_minor, currency, credits_paid, credits_bonus
from packs
where merchant_id = :merchant_id and active_from <= :now and (active_to is null or active_to > :now)
order by price_minor, pack_id
"""

# A payment's timeline is its grant and every spend that burnt one of its lots.
_TIMELINE = f"""
with bought as (select wallet_id, lot_id from credit_lots where payment_id = :payment_id)
select {rows.TRANSACTION}
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

# What a wallet should hold, twice over: by its transactions, which count from 1 without a gap, each beginning with the
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
       count(*) filter (where least(w.available, w.locked, w.pending) < 0) as "wallets.negative",
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


# The same sums from the transactions alone, which are only ever added: what the lots hold is what went in and out.
MOVED = """
select coalesce(sum(credits), 0) as "wallets.available",
       count(*) as "transactions.count",
       coalesce(sum(credits_paid), 0) as "lots.remaining.paid",
       coalesce(sum(credits_bonus), 0) as "lots.remaining.bonus",
       coalesce(sum(case type when 'GRANT' then value_minor else -value_minor end)
           filter (where w.currency = 'INR'), 0) as "lots.value_minor",
       count(*) filter (where type = 'GRANT') as "grants.count",
       coalesce(sum(credits) filter (where type = 'GRANT'), 0) as "grants.credits",
       coalesce(-sum(credits) filter (where type = 'CONSUME'), 0) as "consumed.credits"
from wallet_transactions t
cross join lateral (select currency from wallets where wallet_id = t.wallet_id offset 0) w
where t.transaction_id >= :after and t.transaction_id < :before
"""
# Of the wallets that moved since: the balance is what the last transaction left, each transaction since begins where
# the one before ended, and the lots hold what is available or locked. Each look is a probe of an index.
_MISMATCHED_SINCE = """
with moved as materialized (
    select wallet_id, seq, balance_before from wallet_transactions where transaction_id >= :after
)
select count(*) from (
    select wallet_id from moved
    cross join lateral (
        select max(balance_after) as balance from wallet_transactions
        where wallet_id = moved.wallet_id and seq = moved.seq - 1 offset 0
    ) before
    where moved.balance_before <> coalesce(before.balance, case when moved.seq = 1 then 0 end, -1)
    union
    select w.wallet_id from (select distinct wallet_id from moved) touched
    cross join lateral (select * from wallets where wallet_id = touched.wallet_id offset 0) w
    cross join lateral (
        select seq, balance_after from wallet_transactions
        where wallet_id = w.wallet_id order by seq desc limit 1
    ) last
    cross join lateral (
        select coalesce(sum(remaining), 0) as remaining from credit_lots
        where wallet_id = w.wallet_id and is_open offset 0
    ) lots
    where w.seq <> last.seq or w.available <> last.balance_after or w.available + w.locked <> lots.remaining
) mismatched
"""
# The table's checks refuse it; what is looked for are rows from where they were off.
_NEGATIVE_SINCE = """
select count(*) from (select distinct wallet_id from wallet_transactions where transaction_id >= :after) touched
cross join lateral (
    select 1 from wallets where wallet_id = touched.wallet_id and least(available, locked, pending) < 0 offset 0
) negative
"""
CHECKPOINT: Final = "transactions"


async def recent_totals(tx: Tx) -> dict[str, int]:
    """The totals that books are compared by, read from the checkpoint on."""
    after = await checkpoints.since(tx, CHECKPOINT)
    mismatched = (await tx.execute(_MISMATCHED_SINCE, after=after)).scalar_one()
    negative = (await tx.execute(_NEGATIVE_SINCE, after=after)).scalar_one()
    found = {"wallets.mismatched": int(mismatched), "wallets.negative": int(negative)}
    return await checkpoints.sums(tx, CHECKPOINT, MOVED) | found


async def wallets_of(tx: Tx, owners: Collection[Owner]) -> dict[Owner, Wallet]:
    """The wallets of those owners that have one, without their lots."""
    existing = await tx.execute(_WALLETS_OF, **rows.owner_columns(list(owners)))
    return {wallet.owner: wallet for wallet in map(rows.wallet, existing)}


async def wallets_by_id(tx: Tx, ids: Collection[UUID]) -> list[Wallet]:
    return [rows.wallet(row) for row in await tx.execute(_WALLETS_BY_ID, ids=list(ids))]


async def lot_sums(tx: Tx, wallet_id: UUID) -> list[LotSum]:
    """Open credits by expiry, soonest first, never last."""
    sums = await tx.execute(_LOT_SUMS, wallet_id=wallet_id)
    return [LotSum(row["expires_at"], int(row["paid"]), int(row["bonus"])) for row in sums]


async def transactions_of(tx: Tx, owner: Owner, filter: TransactionFilter) -> list[Transaction]:
    """An owner's transactions, newest first."""
    statement = (
        select(
            t.c.transaction_id, t.c.wallet_id, w.c.merchant_id, w.c.owner_kind, w.c.owner_id, t.c.type,
            t.c.credits_paid, t.c.credits_bonus, t.c.value_minor, w.c.currency, t.c.balance_before, t.c.balance_after,
            t.c.seq, t.c.source, t.c.source_id, t.c.operation_key, t.c.created_at,
        )
        .join_from(w, t, w.c.wallet_id == t.c.wallet_id)
        .where(w.c.owner_id == owner.id, w.c.owner_kind == owner.kind, w.c.merchant_id == owner.merchant_id)
        .order_by(t.c.seq.desc())
        .limit(filter.limit)
    )  # fmt: skip
    if filter.before_seq is not None:
        statement = statement.where(t.c.seq < filter.before_seq)
    if filter.type is not None:
        statement = statement.where(t.c.type == filter.type)
    if filter.since is not None:
        statement = statement.where(t.c.created_at >= filter.since)
    if filter.until is not None:
        statement = statement.where(t.c.created_at < filter.until)
    return [rows.transaction(row) for row in await statements.run(tx, statement)]


async def packs_on_sale(tx: Tx, merchant_id: str, now: datetime) -> list[Pack]:
    """Cheapest first."""
    return [rows.pack(row) for row in await tx.execute(_PACKS_ON_SALE, merchant_id=merchant_id, now=now)]


async def timeline_transactions(tx: Tx, subject: TimelineSubject, limit: int) -> Sequence[Transaction]:
    """What belongs to one payment, wallet, transaction or owner: the newest *limit*, oldest first."""
    newest = await tx.execute(
        _TIMELINE,
        payment_id=subject.payment_id,
        wallet_id=subject.wallet_id,
        transaction_id=subject.transaction_id,
        owner_id=subject.owner_id,
        grant_key=grant_key(subject.payment_id) if subject.payment_id else None,
        rows=limit,
    )
    return [rows.transaction(row) for row in newest][::-1]


async def mismatched_wallets(tx: Tx, wallet_ids: Collection[UUID]) -> list[UUID]:
    """Those wallets whose balance is not what their transactions and their lots come to."""
    return list((await tx.execute(_MISMATCHED, ids=list(wallet_ids))).scalars())


async def totals(tx: Tx) -> dict[str, int]:
    """Sums over all wallets, by the names that the README explains."""
    row = (await tx.execute(_TOTALS)).one()
    return {name: int(value) for name, value in row.items()}
