"""What is read: wallets, pages of transactions, packs, timelines, totals and the check of balances. Nothing locks."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select

from common import checkpoints, statements
from common.database import Tx
from wallet.domain.operations import grant_key
from wallet.domain.wallets import (
    LotSum,
    Owner,
    Pack,
    PaymentGrant,
    TimelineSubject,
    Transaction,
    TransactionFilter,
    Wallet,
)
from wallet.store import rows
from wallet.store.tables import wallet_transactions as t
from wallet.store.tables import wallets as w

_WALLET = """
w.wallet_id, w.merchant_id, w.owner_kind, w.owner_id, w.currency, w.available, w.locked, w.pending,
w.lifetime_purchased, w.seq, w.debt
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

# A payment's timeline is its grant, every spend that burnt one of its lots, and what its refunds and disputes did.
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
       or t.operation_key = :grant_key or t.burnt_lots && array(select lot_id from bought)
       or t.source in ('refund', 'dispute') and t.source_id in (
           select split_part(operation_key, ':', 2) from holds where payment_id = :payment_id))
  and (cast(:transaction_id as uuid) is null or t.transaction_id = :transaction_id)
order by t.created_at desc, t.seq desc limit :rows
"""

_PAYMENT_GRANTS = """
select given.payment_id, w.merchant_id, w.owner_kind, w.owner_id, w.currency, lots.*,
       coalesce(holds.reversed, 0) as reversed
from unnest(cast(:payment_ids as uuid[])) as given (payment_id)
cross join lateral (
    select wallet_id,
           coalesce(sum(granted) filter (where kind = 'PAID' and regrant_hold_id is null), 0) as credits_paid,
           coalesce(sum(granted) filter (where kind = 'BONUS' and regrant_hold_id is null), 0) as credits_bonus,
           coalesce(sum(granted) filter (where regrant_hold_id is not null), 0) as granted_again,
           coalesce(sum(value_minor) filter (where regrant_hold_id is null), 0) as value_minor,
           -- A grant opens one lot of each kind at most.
           greatest(count(*) filter (where kind = 'PAID' and regrant_hold_id is null),
                    count(*) filter (where kind = 'BONUS' and regrant_hold_id is null)) as grants
    from credit_lots where payment_id = given.payment_id group by wallet_id offset 0
) lots
cross join lateral (select * from wallets where wallet_id = lots.wallet_id offset 0) w
cross join lateral (
    select sum(credits_paid + credits_bonus) as reversed from holds
    where payment_id = given.payment_id and wallet_id = lots.wallet_id and state in ('CONSUMED', 'REGRANTED') offset 0
) holds
"""

# What a wallet should hold, several times over: by its transactions, which count from 1 without a gap, each beginning
# with the balance that the one before left; by its lots, its holds and its debts.
_MISMATCHED = """
select w.wallet_id
from wallets w
left join lateral (
    select count(*) as number, max(seq) as top, sum(credits) as credits, sum(locked) as locked, sum(debt) as debt,
           bool_and(balance_before = coalesce(left_before, 0)) as chained
    from (select seq, credits, locked, debt, balance_before, lag(balance_after) over (order by seq) as left_before
          from wallet_transactions where wallet_id = w.wallet_id) chain
) t on true
left join lateral (
    select sum(remaining) as remaining, sum(held) as held from credit_lots where wallet_id = w.wallet_id
) l on true
left join lateral (
    select sum(credits_paid + credits_bonus) as held from holds where wallet_id = w.wallet_id and state = 'HELD'
) h on true
left join lateral (
    select sum(credits - settled_paid - settled_bonus - forgiven) as owed from debts where wallet_id = w.wallet_id
) d on true
where w.wallet_id = any(cast(:ids as uuid[]))
  and (w.seq <> t.number or w.seq <> coalesce(t.top, 0) or w.available <> coalesce(t.credits, 0)
       or w.available <> coalesce(l.remaining, 0) or not coalesce(t.chained, true)
       or w.locked <> coalesce(t.locked, 0) or w.locked <> coalesce(l.held, 0) or w.locked <> coalesce(h.held, 0)
       or w.debt <> coalesce(t.debt, 0) or w.debt <> coalesce(d.owed, 0))
order by w.wallet_id
"""

# What went in and out by the transactions, of one type and all. Regrants are no grants of payments: their source is the
# refund.
_SUMS = """
coalesce(sum(case type when 'GRANT' then value_minor when 'RELEASE' then value_minor when 'REFUND' then 0
         else -value_minor end) filter (where currency = 'INR'), 0) as "lots.value_minor",
       coalesce(sum(case when type = 'LOCK' then value_minor when type in ('RELEASE', 'REFUND') then -value_minor
         else 0 end) filter (where currency = 'INR'), 0) as "holds.value_minor",
       count(*) filter (where type = 'GRANT' and source = 'payment') as "grants.count",
       coalesce(sum(credits) filter (where type = 'GRANT' and source = 'payment'), 0) as "grants.credits",
       coalesce(sum(value_minor) filter (where type = 'GRANT' and source = 'payment' and currency = 'INR'), 0)
           as "grants.value_minor",
       count(*) filter (where type = 'CONSUME') as "consumed.count",
       coalesce(-sum(credits) filter (where type = 'CONSUME'), 0) as "consumed.credits",
       coalesce(sum(value_minor) filter (where type = 'CONSUME' and currency = 'INR'), 0) as "consumed.value_minor",
       coalesce(-sum(locked) filter (where type = 'REFUND'), 0) as "reversed.credits",
       coalesce(sum(credits) filter (where type = 'GRANT' and source <> 'payment'), 0) as "regranted.credits",
       coalesce(-sum(credits) filter (where type = 'DEBT'), 0) as "debts.settled.credits",
       coalesce(sum(value_minor) filter (where type = 'DEBT' and currency = 'INR'), 0) as "debts.settled.value_minor",
       coalesce(sum(credits - debt) filter (where type = 'DEBT'), 0) as "debts.forgiven.credits"
"""

# One statement, so that all sums are of one moment.
_TOTALS = f"""
with moved as (
    select wallet_id, count(*) as number, max(seq) as top, sum(credits) as credits, sum(locked) as locked,
           sum(debt) as debt
    from wallet_transactions group by wallet_id
), lots as (
    select wallet_id, coalesce(sum(remaining) filter (where kind = 'PAID'), 0) as paid,
           coalesce(sum(remaining) filter (where kind = 'BONUS'), 0) as bonus, sum(value_left_minor) as value_left,
           sum(held) as held, sum(held_value_minor) as held_value
    from credit_lots group by wallet_id
), holding as (
    select wallet_id, sum(credits_paid + credits_bonus) as held from holds where state = 'HELD' group by wallet_id
), owing as (
    select wallet_id, sum(credits - settled_paid - settled_bonus - forgiven) as owed from debts group by wallet_id
), balances as (
    select count(w.wallet_id) as "wallets.count",
           coalesce(sum(w.available), 0) as "wallets.available",
           coalesce(sum(w.locked), 0) as "wallets.locked",
           coalesce(sum(w.debt), 0) as "wallets.debt",
           count(*) filter (where w.wallet_id is null or w.seq <> coalesce(m.number, 0) or w.seq <> coalesce(m.top, 0)
               or w.available <> coalesce(m.credits, 0) or w.available <> coalesce(l.paid + l.bonus, 0)
               or w.locked <> coalesce(m.locked, 0) or w.locked <> coalesce(l.held, 0)
               or w.locked <> coalesce(h.held, 0)
               or w.debt <> coalesce(m.debt, 0) or w.debt <> coalesce(d.owed, 0)) as "wallets.mismatched",
           count(*) filter (where least(w.available, w.locked, w.pending, w.debt) < 0) as "wallets.negative",
           coalesce(sum(l.paid), 0) as "lots.remaining.paid",
           coalesce(sum(l.bonus), 0) as "lots.remaining.bonus",
           coalesce(sum(l.value_left) filter (where w.currency = 'INR'), 0) as "lots.value_minor",
           coalesce(sum(l.held_value) filter (where w.currency = 'INR'), 0) as "holds.value_minor",
           coalesce(sum(m.number), 0) as "transactions.count"
    from wallets w full join moved m on m.wallet_id = w.wallet_id left join lots l on l.wallet_id = w.wallet_id
    left join holding h on h.wallet_id = w.wallet_id left join owing d on d.wallet_id = w.wallet_id
), sums as (
    select {_SUMS} from wallet_transactions t left join (select wallet_id, currency from wallets) w using (wallet_id)
)
select balances.*, sums."grants.count", sums."grants.credits", sums."grants.value_minor", sums."consumed.count",
       sums."consumed.credits", sums."consumed.value_minor", sums."reversed.credits", sums."regranted.credits",
       sums."debts.settled.credits", sums."debts.settled.value_minor", sums."debts.forgiven.credits"
from balances cross join sums
"""


# The same sums from the transactions alone, which are only ever added: what the lots hold is what went in and out.
MOVED = f"""
select coalesce(sum(credits), 0) as "wallets.available",
       coalesce(sum(locked), 0) as "wallets.locked",
       coalesce(sum(debt), 0) as "wallets.debt",
       count(*) as "transactions.count",
       coalesce(sum(credits_paid), 0) as "lots.remaining.paid",
       coalesce(sum(credits_bonus), 0) as "lots.remaining.bonus",
       {_SUMS}
from wallet_transactions t
cross join lateral (select currency from wallets where wallet_id = t.wallet_id offset 0) w
where t.transaction_id >= :after and t.transaction_id < :before
"""
# Of the wallets that moved since: the balance is what the last transaction left, each transaction since begins where
# the one before ended, and lots, holds and debts come to what is available, locked and owed. Each look is a probe of
# an index.
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
    cross join lateral (
        select coalesce(sum(credits_paid + credits_bonus), 0) as held from holds
        where wallet_id = w.wallet_id and state = 'HELD' offset 0
    ) holds
    cross join lateral (
        select coalesce(sum(credits - settled_paid - settled_bonus - forgiven), 0) as owed from debts
        where wallet_id = w.wallet_id and is_open offset 0
    ) debts
    where w.seq <> last.seq or w.available <> last.balance_after or w.available <> lots.remaining
       or w.locked <> holds.held or w.debt <> debts.owed
) mismatched
"""
# The table's checks refuse it; what is looked for are rows from where they were off.
_NEGATIVE_SINCE = """
select count(*) from (select distinct wallet_id from wallet_transactions where transaction_id >= :after) touched
cross join lateral (
    select 1 from wallets where wallet_id = touched.wallet_id and least(available, locked, pending, debt) < 0 offset 0
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


async def payment_grants(tx: Tx, payment_ids: Collection[UUID]) -> list[PaymentGrant]:
    """What each payment granted to each wallet; nothing for a payment without lots."""
    return [rows.payment_grant(row) for row in await tx.execute(_PAYMENT_GRANTS, payment_ids=sorted(set(payment_ids)))]


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
            t.c.seq, t.c.source, t.c.source_id, t.c.operation_key, t.c.created_at, t.c.locked, t.c.debt,
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
