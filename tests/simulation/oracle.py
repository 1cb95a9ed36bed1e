"""What must hold once a fleet has come to rest. Reads the tables from outside; shares no code with the handlers."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from commdesk.common.v1.common_pb2 import Envelope
from commdesk.payment.v1.events_pb2 import PaymentSucceeded
from commdesk.wallet.v1.events_pb2 import WalletConsumeRequested
from common import ids
from gateways import AttemptStatus, OrderStatus
from payment.domain.errors import OrderStateUnknown
from payment.domain.states import MOVES, CaptureStatus, Review, Status
from wallet.domain.errors import WalletCurrencyMismatch, WalletInsufficientCredits
from wallet.domain.wallets import TransactionType

from .fleet import OWNERS, RETRY_SCHEDULE_MS, Fleet

_LEDGER = (
    "commdesk.payment.v1.PaymentSucceeded",
    "commdesk.wallet.v1.WalletCredited",
    "commdesk.wallet.v1.WalletDebited",
)
# Causes that no replay heals: no credits came, or the wallet has another currency.
_PERMANENT = {WalletInsufficientCredits.__name__, WalletCurrencyMismatch.__name__}


def is_quiet(fleet: Fleet) -> bool:
    """Nothing is on its way, and nothing is waiting to be sent, done or known."""
    payments = fleet.stores["payment"].table("payments").values()
    return (
        not fleet.gateway.running
        and fleet.broker.is_quiet()
        and not any(store.due.get("outbox") or store.due.get("intents") for store in fleet.stores.values())
        and not any(store.open for store in fleet.stores.values())
        and not any(_open(row["payment"]) for row in payments)
    )


def _open(payment: Any) -> bool:
    return payment.unresolved and payment.review is Review.NONE


def violations(fleet: Fleet, consumptions: dict[str, int], replays: dict[Any, int]) -> Iterator[str]:
    yield from _delivery(fleet)
    yield from _ledger(fleet, replays)
    yield from _payments(fleet)
    yield from _wallets(fleet)
    yield from _grants(fleet)
    yield from _consumptions(fleet, consumptions)
    yield from _dead_letters(fleet)
    yield from _intents(fleet)


def _outbox(fleet: Fleet) -> dict[Any, Any]:
    return {key: row for store in fleet.stores.values() for key, row in store.table("outbox").items()}


def _delivery(fleet: Fleet) -> Iterator[str]:
    """I7: what was committed was published, what was worked was committed, and every listener claimed it."""
    announced = _outbox(fleet)
    claimed = {key for store in fleet.stores.values() for key in store.table("inbox")}
    for envelope_id, row in announced.items():
        if not fleet.broker.arrivals.get(str(envelope_id)):
            yield f"lost: {row['type']} {envelope_id} never reached the broker"
    for envelope_id, consumer in claimed:
        if envelope_id not in announced:
            yield f"phantom: {consumer} worked {envelope_id}, which nobody committed"


def _ledger(fleet: Fleet, replays: dict[Any, int]) -> Iterator[str]:
    """Each event that the ledger hears has one journal, and its handler committed once, and once more per replay."""
    told = {
        event_id for row in _outbox(fleet).values() if row["type"] in _LEDGER for event_id in _event_ids(row["body"])
    }
    store = fleet.stores["ledger"]
    applied = Counter(row["event_id"] for row in store.table("applied").values())
    again = Counter(
        _event_id(event) for (queue, event), times in replays.items() if queue in OWNERS["ledger"] for _ in range(times)
    )
    for event_id in told | applied.keys():
        if event_id not in told:
            yield f"phantom: the ledger posted {event_id}, which nobody committed"
        elif event_id not in store.table("journals"):
            yield f"lost: no journal for {event_id}"
        elif applied[event_id] > 1 + again[event_id]:
            yield f"doubled: {event_id} took effect {applied[event_id]} times with {again[event_id]} replays"


def _event_ids(body: bytes) -> list[str]:
    return [_event_id(event) for event in Envelope.FromString(body).events]


def _event_id(event: bytes) -> str:
    # Field 1 of every event.
    return PaymentSucceeded.FromString(event).event_id


def _payments(fleet: Fleet) -> Iterator[str]:
    """I4, I6: states only move along the table, and the payment says what the gateway says."""
    store = fleet.stores["payment"]
    lines: dict[Any, dict[int, Any]] = {}
    for (payment_id, seq), row in store.table("history").items():
        lines.setdefault(payment_id, {})[seq] = row["line"]
    announced = Counter(grant["payment"] for grant in _succeeded(fleet))
    captures = list(store.table("captures").values())
    for order_id, row in store.table("payments").items():
        payment = row["payment"]
        path = [lines[payment.id][seq] for seq in sorted(lines[payment.id])]
        if [line.seq for line in path] != list(range(1, payment.seq + 1)) or path[-1].to_status is not payment.status:
            yield f"history: {order_id} is {payment.status} with seq {payment.seq} after {[x.seq for x in path]}"
        for line in path[1:]:
            if line.to_status not in MOVES[line.from_status]:
                yield f"history: {order_id} moved from {line.from_status} to {line.to_status}"
        order = fleet.gateway.orders.get(order_id)
        if order is None:
            yield f"lost: {order_id} has no order at the gateway"
            continue
        paid = order.status is OrderStatus.PAID and order.amount == payment.amount
        if paid != (payment.status is Status.SUCCESS):
            yield f"unknown: {order_id} is {payment.status}, the gateway's order {order.status} over {order.amount}"
        if announced[str(payment.id)] != paid:
            yield f"announced: the success of {order_id} was told {announced[str(payment.id)]} times"
        taken = Counter(each["status"] for each in captures if each["order_id"] == order_id)
        known = sum(claim.status is AttemptStatus.SUCCESS for claim in order.claims.values())
        if paid and (taken[CaptureStatus.CAPTURED] != 1 or taken.total() > known):
            yield f"captures: {order_id} has {dict(taken)}, the gateway {known}"


def _succeeded(fleet: Fleet) -> Iterator[dict[str, str]]:
    """The payments whose success was announced; a hop or a replay is not an announcement."""
    for row in fleet.stores["payment"].table("outbox").values():
        if row["exchange"] == "payment.exchange":
            for event in Envelope.FromString(row["body"]).events:
                told = PaymentSucceeded.FromString(event).payment
                yield {"payment": str(ids.decode("pay", told.payment_id)), "key": "grant:" + told.payment_id}


def _wallets(fleet: Fleet) -> Iterator[str]:
    """I2, I3: each wallet's chain has no gap, adds up to the balance, and the lots agree."""
    store = fleet.stores["wallet"]
    moves: dict[Any, list[Any]] = {}
    for row in store.table("transactions").values():
        moves.setdefault(row["transaction"].wallet_id, []).append(row["transaction"])
    for row in store.table("wallets").values():
        wallet = row["wallet"]
        chain = sorted(moves.get(wallet.id, []), key=lambda done: done.seq)
        balance = 0
        for seq, done in enumerate(chain, 1):
            if (done.seq, done.balance_before, done.balance_after) != (seq, balance, balance + done.credits):
                yield f"chain: {wallet.owner.id} at {seq}: {done.seq} {done.balance_before}→{done.balance_after}"
            balance += done.credits
            if balance < 0:
                yield f"floor: {wallet.owner.id} holds {balance} at {seq}"
        held = sum(lot.remaining for lot in wallet.lots)
        if not wallet.available == balance == held:
            yield f"balance: {wallet.owner.id} says {wallet.available}, moved {balance}, lots hold {held}"


def _done(fleet: Fleet, kind: TransactionType) -> Counter[str]:
    rows = fleet.stores["wallet"].table("transactions").values()
    return Counter(row["transaction"].operation_key for row in rows if row["transaction"].type is kind)


def _grants(fleet: Fleet) -> Iterator[str]:
    """I5: each success granted once, unless its currency is not the wallet's: then it lies in the dead letters."""
    granted = _done(fleet, TransactionType.GRANT)
    refused = {
        "grant:" + PaymentSucceeded.FromString(row["event"]).payment.payment_id
        for row in _open_letters(fleet)
        if row["error_class"] == "WalletCurrencyMismatch"
    }
    wanted = {each["key"] for each in _succeeded(fleet)}
    for key in sorted(wanted | granted.keys()):
        if granted[key] + (key in refused) != (key in wanted):
            yield f"grant: {key} granted {granted[key]} times, in the dead letters: {key in refused}"


def _consumptions(fleet: Fleet, asked: dict[str, int]) -> Iterator[str]:
    """Each request takes effect once, or lies in the dead letters for want of credits."""
    consumed = _done(fleet, TransactionType.CONSUME)
    refused = {
        WalletConsumeRequested.FromString(row["event"]).consumption.operation_key
        for row in _open_letters(fleet)
        if row["error_class"] == "WalletInsufficientCredits"
    }
    for key in sorted(asked.keys() | consumed.keys()):
        if consumed[key] > 1 or key not in asked or not (consumed[key] or key in refused):
            yield f"consumption: {key} took effect {consumed[key]} times, in the dead letters: {key in refused}"


def _open_letters(fleet: Fleet) -> list[Any]:
    rows = [row for store in fleet.stores.values() for row in store.table("dead_letters").values()]
    return [row for row in rows if row["status"] == "OPEN"]


def _dead_letters(fleet: Fleet) -> Iterator[str]:
    """Only what was refused permanently, or had no retry tier left, died; and no schedule is longer than it is."""
    passing = {OrderStateUnknown.__name__, ZeroDivisionError.__name__, *_PERMANENT}
    if fleet.faults.has("delivery_limit"):
        passing.add("DeliveryLimit")
    for store in fleet.stores.values():
        for row in store.table("dead_letters").values():
            if row["error_class"] not in passing or row["attempts"] > len(RETRY_SCHEDULE_MS) + 1:
                yield f"dead letter: {row['queue']} {row['error_class']} after {row['attempts']} attempts"
    for row in _open_letters(fleet):
        if row["error_class"] not in _PERMANENT:
            yield f"dead letter: {row['queue']} {row['error_class']} stays open after its cause was mended"


def _intents(fleet: Fleet) -> Iterator[str]:
    """Each intent took effect once at the gateway, its outcome was recorded once, and no two executed it at once."""
    recorded = Counter(row["order_id"] for row in fleet.stores["payment"].table("outcomes").values())
    for order_id in fleet.stores["payment"].table("payments"):
        if recorded[order_id] != 1:
            yield f"intent: {order_id} was recorded {recorded[order_id]} times"
    if len(fleet.gateway.made) != len(fleet.gateway.orders):
        yield f"intent: {len(fleet.gateway.made)} effects at the gateway for {len(fleet.gateway.orders)} orders"
    for key in fleet.gateway.overlaps:
        yield f"intent: {key} was executed by two at once"
