"""What travels by the broker."""

from collections.abc import Iterator
from typing import TypeVar

from google.protobuf.message import Message

from commdesk.common.v1 import common_pb2
from commdesk.common.v1.events_pb2 import AuditRecorded
from commdesk.payment.v1 import disputes_pb2, refunds_pb2
from commdesk.payment.v1 import events_pb2 as payment_events
from commdesk.wallet.v1 import events_pb2
from common import ids
from common.events import audit
from common.money import Money
from wallet.domain.batch import FORGIVEN, WalletBatch
from wallet.domain.holds import HoldOutcome, HoldState
from wallet.domain.operations import Consumption, Forgiveness, Grant
from wallet.domain.wallets import Owner, Transaction, TransactionType
from wallet.wire.messages import consumption, owner_message, unix_micros, wallet_id_text


def consume_requested(event: events_pb2.WalletConsumeRequested) -> Consumption:
    return consumption(event.consumption)


def payment_succeeded(event: payment_events.PaymentSucceeded) -> Grant:
    """Raises IdInvalid, or CurrencyUnknown when credits were bought and the event does not say at what net price."""
    payment = event.payment
    net = payment.tax.net
    bought = payment.credits_paid or payment.credits_bonus
    return Grant(
        Owner(payment.merchant_id, payment.owner_kind or "USER", payment.owner_id or payment.user_id),
        ids.decode("pay", payment.payment_id),
        payment.credits_paid,
        payment.credits_bonus,
        Money(net.minor, net.currency) if bought else Money(0),
        event.time_unix_micros,
    )


def payment_refunded(event: refunds_pb2.PaymentRefunded) -> HoldOutcome | None:
    return _refund_outcome(event, HoldState.CONSUMED)


def refund_failed(event: refunds_pb2.RefundFailed) -> HoldOutcome | None:
    return _refund_outcome(event, HoldState.RELEASED)


def refund_reversed(event: refunds_pb2.RefundReversed) -> HoldOutcome | None:
    return _refund_outcome(event, HoldState.REGRANTED)


def dispute_won(event: disputes_pb2.PaymentDisputeWon) -> HoldOutcome | None:
    return _dispute_outcome(event, HoldState.RELEASED)


def dispute_lost(event: disputes_pb2.PaymentDisputeLost) -> HoldOutcome | None:
    return _dispute_outcome(event, HoldState.CONSUMED)


def _refund_outcome(
    event: refunds_pb2.PaymentRefunded | refunds_pb2.RefundFailed | refunds_pb2.RefundReversed, outcome: HoldState
) -> HoldOutcome | None:
    """None where nothing was held, because the payment bought no credits. Raises IdInvalid."""
    refund = event.refund
    return _outcome(refund.hold_id, f"refund:{refund.refund_id}", event.payment.merchant_id, outcome)


def _dispute_outcome(
    event: disputes_pb2.PaymentDisputeWon | disputes_pb2.PaymentDisputeLost, outcome: HoldState
) -> HoldOutcome | None:
    """None where nothing was held, because the payment bought no credits. Raises IdInvalid."""
    dispute = event.dispute
    return _outcome(dispute.hold_id, f"dispute:{dispute.dispute_id}", event.payment.merchant_id, outcome)


def _outcome(hold_id: str, operation_key: str, merchant_id: str, outcome: HoldState) -> HoldOutcome | None:
    return HoldOutcome(ids.decode("hld", hold_id), operation_key, merchant_id, outcome) if hold_id else None


def announcements(batch: WalletBatch) -> Iterator[Message]:
    """What the batch announces, in the order in which it happened. An event has its transaction's id."""
    for transaction in batch.transactions:
        yield from _ANNOUNCE[transaction.type](transaction)


def _consumed(transaction: Transaction) -> tuple[Message, ...]:
    return (_debited(transaction),)


def _granted(transaction: Transaction) -> tuple[Message, ...]:
    return (_credited(transaction),)


def _debited(transaction: Transaction) -> events_pb2.WalletDebited:
    transaction_id = ids.encode("wtx", transaction.id)
    # Field by field: an event with its two messages inside costs a fifth less than in one call, and there is one of
    # these for each spend.
    event = events_pb2.WalletDebited()
    event.event_id = "evt" + transaction_id[3:]
    event.time_unix_micros = unix_micros(transaction.created_at)
    message, owner = event.owner, transaction.owner
    message.merchant_id, message.kind, message.id = owner.merchant_id, owner.kind, owner.id
    event.wallet_id = wallet_id_text(transaction.wallet_id)
    event.transaction_id = transaction_id
    event.operation_key = transaction.operation_key
    event.seq = transaction.seq
    event.credits_paid = -transaction.credits_paid
    event.credits_bonus = -transaction.credits_bonus
    event.purpose = transaction.source
    event.source_id = transaction.source_id
    value = event.value
    value.minor, value.currency = transaction.value_minor, transaction.currency
    event.balance_after = transaction.balance_after
    return event


def _credited(transaction: Transaction) -> events_pb2.WalletCredited:
    transaction_id = ids.encode("wtx", transaction.id)
    return events_pb2.WalletCredited(
        event_id="evt" + transaction_id[3:],
        time_unix_micros=unix_micros(transaction.created_at),
        owner=owner_message(transaction.owner),
        wallet_id=wallet_id_text(transaction.wallet_id),
        transaction_id=transaction_id,
        operation_key=transaction.operation_key,
        seq=transaction.seq,
        credits_paid=transaction.credits_paid,
        credits_bonus=transaction.credits_bonus,
        payment_id=ids.encode("pay", held.payment_id) if (held := transaction.held) else transaction.source_id,
        balance_after=transaction.balance_after,
    )


_M = TypeVar(
    "_M",
    events_pb2.WalletLocked,
    events_pb2.WalletReleased,
    events_pb2.WalletReversed,
    events_pb2.WalletDebtSettled,
)


def _headed(event: _M, transaction: Transaction) -> _M:
    """*event* with what all of them begin with."""
    event.transaction_id = ids.encode("wtx", transaction.id)
    event.event_id = "evt" + event.transaction_id[3:]
    event.time_unix_micros = unix_micros(transaction.created_at)
    event.owner.CopyFrom(owner_message(transaction.owner))
    event.wallet_id = wallet_id_text(transaction.wallet_id)
    event.operation_key = transaction.operation_key
    event.seq = transaction.seq
    event.balance_after = transaction.balance_after
    return event


_H = TypeVar("_H", events_pb2.WalletLocked, events_pb2.WalletReleased, events_pb2.WalletReversed)


def _of_hold(event: _H, transaction: Transaction) -> _H:
    """*event* with the held credits by kind, and what they were held for."""
    held = transaction.held
    if held is None:
        raise AssertionError("only a hold locks, releases and takes back credits")
    event.credits_paid, event.credits_bonus = held.credits_paid, held.credits_bonus
    event.payment_id = ids.encode("pay", held.payment_id)
    event.hold_id = ids.encode("hld", held.hold_id)
    return _headed(event, transaction)


def _locked(transaction: Transaction) -> tuple[Message, ...]:
    return (_of_hold(events_pb2.WalletLocked(), transaction),)


def _released(transaction: Transaction) -> tuple[Message, ...]:
    return (_of_hold(events_pb2.WalletReleased(), transaction),)


def _reversed(transaction: Transaction) -> tuple[Message, ...]:
    return (_of_hold(events_pb2.WalletReversed(debt=transaction.debt), transaction),)


def _debt_settled(transaction: Transaction) -> tuple[Message, ...]:
    event = events_pb2.WalletDebtSettled(
        credits_paid=-transaction.credits_paid,
        credits_bonus=-transaction.credits_bonus,
        value=common_pb2.Money(minor=transaction.value_minor, currency=transaction.currency),
        # What is no longer owed and was not paid.
        credits_forgiven=transaction.credits - transaction.debt,
        actor_id=transaction.source_id if transaction.source == FORGIVEN else "",
    )
    return (_headed(event, transaction),)


def debt_forgiven(forgiveness: Forgiveness, transaction: Transaction) -> AuditRecorded:
    """For the audit log: it is a person's decision, with a reason."""
    return audit(
        "wallet.debt.forgive",
        ("wallet", wallet_id_text(transaction.wallet_id)),
        service="wallet",
        at=transaction.created_at,
        merchant_id=transaction.owner.merchant_id,
        actor_id=forgiveness.actor,
        before={"debt": transaction.debt_after - transaction.debt, "seq": transaction.seq - 1},
        after={"debt": transaction.debt_after, "seq": transaction.seq, "reason": forgiveness.reason},
    )


_ANNOUNCE = {
    TransactionType.CONSUME: _consumed,
    TransactionType.GRANT: _granted,
    TransactionType.LOCK: _locked,
    TransactionType.RELEASE: _released,
    TransactionType.REFUND: _reversed,
    TransactionType.DEBT: _debt_settled,
}
if _ANNOUNCE.keys() != set(TransactionType):
    raise AssertionError("every type of transaction is announced")
