"""Versions of the routing rules, the decisions that were recorded with payments, and payments that change account."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from common.database import Tx
from payment.domain.routing import RouteDecision, RoutingRule, RoutingRules

_COLUMNS = (
    "priority, merchant_id, method, currency, amount_min_minor, amount_max_minor, share_percent, gateway_account_id, "
    "exploration_percent"
)
_VERSION = "select coalesce(max(version), 0) from routing_versions"
_RULES = f"select {_COLUMNS} from routing_rules where version = :version order by priority"
_ADD_VERSION = """
insert into routing_versions (version, actor_id, reason, created_at) values (:version, :actor_id, :reason, :at)
on conflict do nothing returning version
"""
_ADD_RULES = f"""
insert into routing_rules (version, {_COLUMNS})
select :version, row.* from unnest(cast(:priorities as integer[]), cast(:merchants as text[]), cast(:methods as text[]),
    cast(:currencies as text[]), cast(:minimums as bigint[]), cast(:maximums as bigint[]), cast(:shares as integer[]),
    cast(:accounts as text[]), cast(:explorations as integer[])) as row
"""
_DECISIONS = "select routing from payments where id = :id"
# Where the account has an order of this id already, the payment stays where it is.
_MOVE = """
update payments p
set gateway = :gateway, gateway_account_id = :account, routing = :routing, seq = :seq, updated_at = :at
where p.id = :id and not exists (select 1 from payments other
                                 where other.gateway_account_id = :account and other.order_id = p.order_id)
returning p.id
"""
# The ids of attempts begin with the time at which they were recorded.
_RECENT_ATTEMPTS = """
select p.gateway_account_id as account_id, a.payment_method as method,
       count(*) filter (where a.status = 'SUCCESS') as succeeded, count(*) as total
from (select payment_id, payment_method, status from payment_attempts where id >= :since order by id desc limit :rows) a
join payments p on p.id = a.payment_id
where a.status in ('SUCCESS', 'FAILED')
group by 1, 2
"""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[RouteDecision]).decode


def encoded(decisions: Sequence[RouteDecision]) -> str:
    """As the column `routing` of payments holds them, oldest first; "" for none."""
    return _encode(decisions).decode() if decisions else ""


async def decisions_of(tx: Tx, payment_id: UUID) -> list[RouteDecision]:
    """What was decided about the payment's account, oldest first; nothing where there was one account only."""
    text = (await tx.execute(_DECISIONS, id=payment_id)).scalar()
    return _decode(text) if text else []


async def current_rules(tx: Tx) -> RoutingRules:
    version = (await tx.execute(_VERSION)).scalar_one()
    if not version:
        return RoutingRules()
    rows = await tx.execute(_RULES, version=version)
    return RoutingRules(version, tuple(RoutingRule(**dict(row)) for row in rows))


async def add_version(
    tx: Tx, version: int, rules: Sequence[RoutingRule], actor_id: str, reason: str, at: datetime
) -> bool:
    """Whether *version* is new."""
    added = (await tx.execute(_ADD_VERSION, version=version, actor_id=actor_id, reason=reason, at=at)).scalar()
    if added is None:
        return False
    await tx.execute(
        _ADD_RULES,
        version=version,
        priorities=[rule.priority for rule in rules],
        merchants=[rule.merchant_id for rule in rules],
        methods=[rule.method for rule in rules],
        currencies=[rule.currency for rule in rules],
        minimums=[rule.amount_min_minor for rule in rules],
        maximums=[rule.amount_max_minor for rule in rules],
        shares=[rule.share_percent for rule in rules],
        accounts=[rule.gateway_account_id for rule in rules],
        explorations=[rule.exploration_percent for rule in rules],
    )
    return True


async def move_payment(
    tx: Tx, payment_id: UUID, gateway: str, decisions: Sequence[RouteDecision], seq: int, at: datetime
) -> bool:
    """Give the locked payment the account of the last of *decisions*. False when that has an order of its id."""
    moved = await tx.execute(
        _MOVE,
        id=payment_id,
        gateway=gateway,
        account=decisions[-1].gateway_account_id,
        routing=encoded(decisions),
        seq=seq,
        at=at,
    )
    return moved.scalar() is not None


async def recent_attempts(tx: Tx, since: UUID, rows: int) -> dict[tuple[str, str], tuple[int, int]]:
    """(account, method) → attempts that succeeded and that ended, of the *rows* newest since the id *since*."""
    counts = await tx.execute(_RECENT_ATTEMPTS, since=since, rows=rows)
    return {(row.account_id, row.method): (row.succeeded, row.total) for row in counts}
