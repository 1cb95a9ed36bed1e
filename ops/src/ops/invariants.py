"""What must hold of the books of a quiet fleet, checked from outside: plain SQL over all schemas, one snapshot.

An oracle of its own: it uses none of the services' code, so that a bug there does not hide itself. Each check returns
the rows that violate it. `quiet` says whether there is anything left to wait for.
"""

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import Any

import aio_pika
import aiohttp
import asyncpg
from msgspec import Struct

from common import broker_urls
from common.services import SCHEMAS, SERVICES
from common.topology import CONTRACT, matches, retry_queues
from ops import fleet_database, money_invariants, rabbitmq

SHOWN = 5
# Of `waiting_for`: what has left a queue by itself and has not arrived, by the broker's counters.
IN_FLIGHT = "on the way out of a queue"

# Payments whose money is ours. Credits were bought by those with credits on them.
_PAID = "select * from payment.payments where paid_at is not null"

CHECKS: dict[str, str] = {
    "every paid payment is granted exactly once": f"""
        select p.id, count(t.transaction_id) as grants from ({_PAID}) p
        left join wallet.wallet_transactions t
            on t.type = 'GRANT' and t.source = 'payment' and t.source_id = p.payment_id
        where p.credits_paid + p.credits_bonus > 0 group by p.id having count(t.transaction_id) <> 1""",
    "no payment is granted twice": """
        select source_id, count(*) as grants from wallet.wallet_transactions where type = 'GRANT'
        group by 1 having count(*) > 1""",
    "no grant without its paid payment": f"""
        select t.transaction_id from wallet.wallet_transactions t
        left join ({_PAID}) p on p.payment_id = t.source_id
        where t.type = 'GRANT' and t.source = 'payment' and p.id is null""",
    "granted credits are those that were paid for": f"""
        select paid, granted from
            (select coalesce(sum(credits_paid + credits_bonus), 0) as paid from ({_PAID}) p) a,
            (select coalesce(sum(credits), 0) as granted from wallet.wallet_transactions
             where type = 'GRANT' and source = 'payment') b
        where paid <> granted""",
    "a paid payment is captured exactly once": f"""
        select p.id, count(t.id) from ({_PAID}) p
        left join payment.transactions t on t.payment_id = p.id and t.status = 'CAPTURED'
        group by p.id having count(t.id) <> 1""",
    "a payment's history is one path": """
        select payment_id from payment.payment_history group by payment_id
        having max(seq) <> count(*) or min(seq) <> 1
        union all
        select h.payment_id from payment.payment_history h join payment.payment_history before
            on before.payment_id = h.payment_id and before.seq = h.seq - 1
        where h.from_status <> before.to_status""",
    "a payment stands where its history ends": """
        select p.id from payment.payments p join payment.payment_history h on h.payment_id = p.id and h.seq = p.seq
        where h.to_status <> p.status""",
    "a wallet's transactions are contiguous and add up": """
        select wallet_id from (
            select wallet_id, seq, balance_before,
                   row_number() over w as number, lag(balance_after, 1, 0::bigint) over w as carried
            from wallet.wallet_transactions window w as (partition by wallet_id order by seq)) t
        where seq <> number or balance_before <> carried""",
    "a wallet holds what its last transaction says": """
        select w.wallet_id from wallet.wallets w
        left join wallet.wallet_transactions t on t.wallet_id = w.wallet_id and t.seq = w.seq
        where w.available <> coalesce(t.balance_after, 0)""",
    "a wallet holds what is left of its lots": """
        select w.wallet_id from wallet.wallets w
        left join (select wallet_id, sum(remaining) as remaining from wallet.credit_lots group by 1) l using (wallet_id)
        where w.available <> coalesce(l.remaining, 0)""",
    "a wallet has locked what its holds hold, by its lots and its transactions": """
        select w.wallet_id from wallet.wallets w
        left join (select wallet_id, sum(credits_paid + credits_bonus) as held from wallet.holds
                   where state = 'HELD' group by 1) h using (wallet_id)
        left join (select wallet_id, sum(held) as held from wallet.credit_lots group by 1) l using (wallet_id)
        left join (select wallet_id, sum(locked) as locked from wallet.wallet_transactions group by 1) t
            using (wallet_id)
        where w.locked <> coalesce(h.held, 0) or w.locked <> coalesce(l.held, 0)
           or w.locked <> coalesce(t.locked, 0)""",
    "a wallet owes what its debts come to, by its transactions": """
        select w.wallet_id from wallet.wallets w
        left join (select wallet_id, sum(credits - settled_paid - settled_bonus - forgiven) as owed
                   from wallet.debts group by 1) d using (wallet_id)
        left join (select wallet_id, sum(debt) as debt from wallet.wallet_transactions group by 1) t using (wallet_id)
        where w.debt <> coalesce(d.owed, 0) or w.debt <> coalesce(t.debt, 0)""",
    "a hold moves its credits and their value once": """
        select h.hold_id, t.type, count(*) from wallet.holds h
        join wallet.wallet_transactions t on t.wallet_id = h.wallet_id
            and t.operation_key in (h.operation_key, h.operation_key || ':taken', h.operation_key || ':released')
        group by h.hold_id, h.state, h.credits_paid, h.credits_bonus, h.value_paid_minor, h.value_bonus_minor, t.type
        having count(*) <> 1 or t.type = 'RELEASE' and h.state <> 'RELEASED'
            or t.type = 'REFUND' and h.state not in ('CONSUMED', 'REGRANTED')
            or max(t.value_minor) <> h.value_paid_minor + h.value_bonus_minor
            or max(abs(t.locked)) <> h.credits_paid + h.credits_bonus""",
    "every journal is zero": """
        select journal_id from ledger.ledger_entries group by 1 having sum(debit) <> sum(credit)""",
    "every asset is zero": """
        select a.asset from ledger.ledger_entries e join ledger.accounts a using (account_id)
        group by 1 having sum(debit) <> sum(credit)""",
    "every paid payment has exactly one INR journal": f"""
        select p.id, count(j.journal_id) from ({_PAID}) p
        left join ledger.journals j on j.reference = p.id and j.template = 'payment.success'
        group by p.id having count(j.journal_id) <> 1""",
    "every wallet transaction has exactly one CREDIT journal": """
        select t.transaction_id, count(j.journal_id) from wallet.wallet_transactions t
        left join ledger.journals j on j.reference = t.transaction_id and j.asset = 'CREDIT'
        group by 1 having count(j.journal_id) <> 1""",
    "the ledger's credits are the wallets' lots": """
        select code, ledger, lots from
            (select a.code, coalesce(sum(e.credit - e.debit), 0) as ledger from ledger.accounts a
             left join ledger.ledger_entries e using (account_id)
             where a.code in ('wallets:paid', 'wallets:bonus') group by 1) l
        join (select case kind when 'PAID' then 'wallets:paid' else 'wallets:bonus' end as code, sum(remaining) as lots
              from wallet.credit_lots group by 1) w using (code)
        where ledger <> lots""",
    "the ledger's locked credits and debts are the wallets'": """
        select code, ledger, wallets from
            (select a.code, abs(coalesce(sum(e.debit - e.credit), 0)) as ledger
             from ledger.accounts a left join ledger.ledger_entries e using (account_id)
             where a.code in ('wallets:locked', 'debts') group by 1) l
        join (select 'wallets:locked' as code, coalesce(sum(locked), 0) as wallets from wallet.wallets
              union all select 'debts', coalesce(sum(debt), 0) from wallet.wallets) w using (code)
        where ledger <> wallets""",
    "deferred credits have the value that the lots still carry, held or not": """
        select ledger, lots from
            (select coalesce(sum(e.credit - e.debit), 0) as ledger from ledger.ledger_entries e
             join ledger.accounts a using (account_id) where a.code = 'liability:deferred_credits') l,
            (select coalesce(sum(value_left_minor + held_value_minor), 0) as lots from wallet.credit_lots) w
        where ledger <> lots""",
    "the gateway owes us what was paid and is left of receipts, less what it gave or took back or paid out": f"""
        select ledger, paid, unapplied, refunded, disputed, settled from
            (select coalesce(sum(e.debit - e.credit), 0) as ledger from ledger.ledger_entries e
             join ledger.accounts a using (account_id) where a.code like 'asset:gateway:%') l,
            (select coalesce(sum(amount_minor), 0) as paid from ({_PAID}) p) p,
            (select coalesce(sum(amount_minor - applied_minor - refunded_minor), 0) as unapplied
             from payment.receipts where currency = 'INR') r,
            (select coalesce(sum(amount_minor), 0) as refunded from payment.refunds
             where status = 'SUCCESS' and receipt_id is null) b,
            (select coalesce(sum(amount_minor + case announced when 'LOST' then fee_minor else 0 end), 0) as disputed
             from payment.disputes where announced in ('DISPUTED', 'LOST')) d,
            (select coalesce(sum(booked_gross_minor), 0) as settled from payment.settlements) s
        where ledger <> paid + unapplied - refunded - disputed - settled""",
    "what is left of receipts is what the books owe": """
        select ledger, unapplied from
            (select coalesce(sum(e.credit - e.debit), 0) as ledger from ledger.ledger_entries e
             join ledger.accounts a using (account_id) where a.code = 'liability:unapplied_receipts') l,
            (select coalesce(sum(amount_minor - applied_minor - refunded_minor), 0) as unapplied
             from payment.receipts where currency = 'INR') r
        where ledger <> unapplied""",
    "every receipt has exactly one journal": """
        select r.id, count(j.journal_id) from payment.receipts r
        left join ledger.journals j on j.cause_id = r.id and j.template = 'payment.received'
        where r.currency = 'INR' group by r.id having count(j.journal_id) <> 1""",
    "a second capture is a receipt": """
        select t.id from payment.transactions t left join payment.receipts r
            on r.gateway = t.gateway and r.gateway_payment_id = t.provider_transaction_id
        where t.status in ('DUPLICATE', 'REFUNDED') and r.id is null""",
    "whatever is left of a receipt is in the review queue": """
        select r.id from payment.receipts r join payment.payments p on p.id = r.payment_id
        where r.applied_minor + r.refunded_minor < r.amount_minor and p.paid_at is null
          and p.review not in ('QUARANTINED', 'FLAGGED', 'BLOCKED')""",
    "a refund gives its receipt back, and nothing else does meanwhile": """
        select r.id from payment.receipts r left join payment.refunds f on f.id = r.refund_id
        where r.refund_id is not null
          and (f.receipt_id is distinct from r.id or f.status not in ('PROCESSING', 'SUCCESS')
              or (f.status = 'SUCCESS') <> (r.refunded_minor > 0) or f.amount_minor > r.amount_minor - r.applied_minor)
        union all
        select f.receipt_id from payment.refunds f join payment.receipts r on r.id = f.receipt_id
        where f.status in ('INITIATED', 'PROCESSING', 'SUCCESS') and r.refund_id is distinct from f.id""",
    "every paid payment has exactly one invoice": f"""
        select p.id, count(i.id) from ({_PAID}) p left join payment.invoices i on i.payment_id = p.id
        group by p.id having count(i.id) <> 1""",
    "invoice numbers have no gap": """
        select merchant_id, series from payment.invoices group by 1, 2
        having max(number) <> count(*) or min(number) <> 1""",
    "every paid payment with an address has exactly one mail that was sent": f"""
        select p.id, count(m.*) from ({_PAID}) p
        left join notifier.emails m on m.key = 'payment-success:' || p.payment_id and m.status = 'SENT'
        where p.customer_email <> '' group by p.id having count(m.*) <> 1""",
    # The keys go with the minutes that fraud looks back to.
    "fraud counts a member's payments once": """
        select p.user_id, count(*) as announced, counted from payment.payments p
        join reconciler.billing_events b on b.payment_id = p.payment_id and b.kind = 'payment.created'
        cross join lateral (select sum(created) as counted from fraud.velocity_buckets
                            where key = fraud.subject_key('USER', p.merchant_id, p.user_id)) v
        group by p.merchant_id, p.user_id, counted
        having count(*) <> counted and min(p.created_at) > now() - interval '1 day'""",
    "no dead letter is open": " union all ".join(
        f"select '{schema}' as service, queue, error_code, error_class from {schema}.dead_letters where status = 'OPEN'"
        for schema in SCHEMAS
    ),
    "no row lies in a default partition": " union all ".join(
        f"select '{schema}' as service from {schema}.outbox_default union all"
        f" select '{schema}' from {schema}.inbox_default"
        for schema in SCHEMAS
    ),
} | money_invariants.CHECKS

# These hold at every moment too: both sides are written in one transaction, or the second after the first.
UNDER_WAY = frozenset(
    {
        "no payment is granted twice",
        "no grant without its paid payment",
        "a payment's history is one path",
        "a payment stands where its history ends",
        "a wallet's transactions are contiguous and add up",
        "a wallet holds what its last transaction says",
        "a wallet holds what is left of its lots",
        "a wallet has locked what its holds hold, by its lots and its transactions",
        "a wallet owes what its debts come to, by its transactions",
        "a hold moves its credits and their value once",
        "every journal is zero",
        "every asset is zero",
    }
    | money_invariants.UNDER_WAY
)

# payment ids are prefixed text outside their own schema; the database can say them itself.
_PAYMENT_ID = """
create or replace function pg_temp.crockford(prefix text, id uuid) returns text language plpgsql immutable as $$
declare
    alphabet constant text := '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
    bits bit(132) := ('x' || '0' || replace(id::text, '-', ''))::bit(132) << 2;
    encoded text := '';
begin
    for i in 0..25 loop
        encoded := encoded || substr(alphabet, (substring(bits from i * 5 + 1 for 5))::bit(5)::int + 1, 1);
    end loop;
    return prefix || '_' || encoded;
end $$
"""


class Violation(Struct, frozen=True):
    """One check that does not hold, with the first rows that show it."""

    check: str
    rows: list[dict[str, Any]]

    def __str__(self) -> str:
        return f"{self.check}: {self.rows}"


async def violations(
    description: Mapping[str, Any], *, under_way: bool = False, without: Collection[str] = ()
) -> list[Violation]:
    """Every check that does not hold now, on one snapshot, but those named *without*.

    Of a fleet that works (*under_way*) those of `UNDER_WAY` alone: the others are meaningful when it is quiet.
    """
    checks = {check: CHECKS[check] for check in UNDER_WAY} if under_way else CHECKS | _deliveries()
    async with fleet_database.connect(description) as db:
        return await violated(db, {check: sql for check, sql in checks.items() if check not in without})


async def violated(db: asyncpg.Connection, checks: Mapping[str, str]) -> list[Violation]:
    """Those of *checks* that do not hold in the database of *db*, on one snapshot."""
    await db.execute(_PAYMENT_ID)
    # Fresh tables have no statistics yet, and a nested loop over two of them would call the function above for
    # every pair of rows.
    await db.execute("set enable_nestloop = off")
    async with db.transaction(isolation="repeatable_read", readonly=True):
        broken = []
        for check, sql in checks.items():
            statement = sql.replace("p.payment_id", "pg_temp.crockford('pay', p.id)")
            rows = await db.fetch(f"select * from ({statement}) violation limit {SHOWN}")
            if rows:
                broken.append(Violation(check, [dict(row) for row in rows]))
        return broken


async def waiting_for(description: Mapping[str, Any]) -> dict[str, int]:
    """What a fleet that is not quiet still has to do, by name; empty when it is quiet."""
    async with fleet_database.connect(description) as db:
        waiting: dict[str, int] = {}
        for schema in SCHEMAS:
            waiting[f"{schema}.outbox"] = await db.fetchval(
                f"select count(*) from {schema}.outbox where published_at is null"
            )
            waiting[f"{schema}.intents"] = await db.fetchval(
                f"select count(*) from {schema}.intents where done_at is null"
            )
    connection = await broker_urls.connect(description["rabbitmq"]["url"], timeout_seconds=5)
    async with connection:
        channel = await connection.channel()
        for name in _queues(description):
            queue = await channel.declare_queue(name, passive=True)
            waiting[name] = queue.declaration_result.message_count or 0
    waiting[IN_FLIGHT] = await rabbitmq.dead_letters_in_flight(description["rabbitmq"]["metrics_url"])
    return {name: count for name, count in waiting.items() if count}


async def until_quiet(description: Mapping[str, Any], seconds: float) -> None:
    """Wait until nothing is under way, twice in a row. Raises TimeoutError that names what is left."""
    ends = time.monotonic() + seconds
    quiet_looks, before = 0, 0
    while quiet_looks < 2:
        left = await _looked_at(description)
        # A message deleted with its queue stays in the count permanently: the count matters only while it changes, and
        # the messages of a constant count are missing in an inbox.
        in_flight = left.pop(IN_FLIGHT, 0)
        if in_flight != before:
            left[IN_FLIGHT], before = in_flight, in_flight
        quiet_looks = 0 if left else quiet_looks + 1
        if left and time.monotonic() > ends:
            raise TimeoutError(f"not quiet after {seconds} s: {left}")
        await asyncio.sleep(0.3)


async def _looked_at(description: Mapping[str, Any]) -> dict[str, int]:
    """Unacked messages show as work in the outbox or in the inbox; an engine that is away is not quiet."""
    try:
        left = await waiting_for(description)
        return left if left.keys() - {IN_FLIGHT} else left | await undelivered(description)
    except (OSError, asyncpg.PostgresError, aio_pika.exceptions.AMQPError, aiohttp.ClientError) as error:
        return {type(error).__name__: 1}


async def undelivered(description: Mapping[str, Any]) -> dict[str, int]:
    """Announced envelopes that a listener has not claimed yet, by queue."""
    async with fleet_database.connect(description) as db:
        counts = {
            check: await db.fetchval(f"select count(*) from ({sql}) undelivered")
            for check, sql in _deliveries().items()
        }
        return {check: count for check, count in counts.items() if count}


def _deliveries() -> dict[str, str]:
    """Outbox = inbox: what was announced to a queue, or sent on to it, was claimed there."""
    checks = {}
    for queue in CONTRACT.queues:
        parts = []
        for event in CONTRACT.events.values():
            example = event.key.replace("{gateway}", "cashfree")
            if not any(exchange == event.exchange and matches(key, example) for exchange, key in queue.bindings):
                continue
            # A producer outside the fleet has no outbox of ours.
            producers = [row.package for name, row in SERVICES.items() if row.database and event.is_announced_by(name)]
            parts += [
                f"select o.envelope_id, o.routing_key from {producer}.outbox o"
                f" where o.type = '{event.type}' and o.exchange = '{event.exchange}' and not exists ("
                f"select from {queue.owner.replace('-', '_')}.inbox i"
                f" where i.envelope_id = o.envelope_id and i.consumer = '{queue.name}')"
                for producer in producers
            ]
        if parts:
            checks[f"what was announced to {queue.name} was claimed there"] = " union all ".join(parts)
    exchanges = ", ".join(f"'{exchange}'" for exchange in CONTRACT.exchanges)
    for schema in SCHEMAS:
        # Redeliveries: to a retry tier and to the home queue from there, straight to it, or to the dead letters.
        checks[f"what {schema} sent home arrived there"] = (
            f"select o.envelope_id, o.routing_key from {schema}.outbox o"
            f" where o.exchange not in ({exchanges})"
            f" and not exists (select from {schema}.inbox i"
            " where i.envelope_id = o.envelope_id and i.consumer = o.routing_key)"
            f" and not exists (select from {schema}.dead_letters d where d.source_id = o.envelope_id)"
        )
    return checks


def _queues(description: Mapping[str, Any]) -> list[str]:
    names = [name for queue in CONTRACT.queues for name in (queue.name, queue.dead_letters)]
    return names + [name for ttl_ms in description["retry_schedule_ms"] for name in retry_queues(ttl_ms)]
