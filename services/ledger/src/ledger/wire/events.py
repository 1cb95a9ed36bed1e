"""Financial events off the broker: what each is about, and its amounts by name; no decisions."""

from typing import TypeAlias
from uuid import UUID

from commdesk.common.v1 import common_pb2
from commdesk.payment.v1 import disputes_pb2, payment_pb2, refunds_pb2, settlements_pb2
from commdesk.payment.v1 import events_pb2 as payment_events
from commdesk.wallet.v1 import events_pb2 as wallet_events
from common import ids
from common.errors import InvalidArgument
from common.events import bounded_micros
from ledger.domain.journals import FinancialEvent

# Who acts where an event names nobody: the service that announces it.
_PAYMENT, _WALLET = "service:payment", "service:wallet"


class CurrencyMixed(InvalidArgument):
    """One event has amounts in several currencies."""

    fix = "Correct the announcing service; a financial event is about one currency."


_PaymentMessage: TypeAlias = (
    payment_events.PaymentSucceeded
    | payment_events.PaymentReceived
    | payment_events.PaymentReceiptRefunded
    | refunds_pb2.PaymentRefunded
    | refunds_pb2.RefundReversed
    | disputes_pb2.PaymentDisputed
    | disputes_pb2.PaymentDisputeWon
    | disputes_pb2.PaymentDisputeLost
)
_WalletMessage: TypeAlias = (
    wallet_events.WalletCredited
    | wallet_events.WalletDebited
    | wallet_events.WalletLocked
    | wallet_events.WalletReleased
    | wallet_events.WalletReversed
    | wallet_events.WalletDebtSettled
)


def payment_succeeded(message: payment_events.PaymentSucceeded) -> FinancialEvent:
    payment = message.payment
    amount, follows_receipt = payment.amount, bool(message.receipt_id)
    amounts = {
        "taken": 0 if follows_receipt else amount.minor,
        "applied": amount.minor if follows_receipt else 0,
        "net": _minor(payment.tax.net, amount.currency),
        **_gst(payment.tax, amount.currency),
    }
    return _about_payment("payment.success", message, amount.currency, amounts)


def payment_received(message: payment_events.PaymentReceived) -> FinancialEvent:
    """About the receipt's own amount: it is not always the payment's."""
    amounts = {"received": message.amount.minor}
    return _about_payment("payment.received", message, message.amount.currency, amounts)


def payment_receipt_refunded(message: payment_events.PaymentReceiptRefunded) -> FinancialEvent:
    """About the receipt's own amount: it is not always the payment's."""
    amounts = {"refunded": message.amount.minor}
    return _about_payment("payment.receipt.refunded", message, message.amount.currency, amounts)


def payment_refunded(message: refunds_pb2.PaymentRefunded) -> FinancialEvent:
    return _refund("payment.refunded", message)


def refund_reversed(message: refunds_pb2.RefundReversed) -> FinancialEvent:
    return _refund("refund.reversed", message)


def _refund(key: str, message: refunds_pb2.PaymentRefunded | refunds_pb2.RefundReversed) -> FinancialEvent:
    refund = message.refund
    currency = refund.amount.currency
    # What of the net price was revenue already: the customer gives it back, unless the merchant bears it.
    earned = _minor(refund.tax.net, currency) - refund.value_held
    absorbs = refund.policy == refunds_pb2.SPENT_CREDITS_POLICY_ABSORB
    amounts = {
        "refunded": refund.amount.minor,
        "held": refund.value_held,
        "earned": 0 if absorbs else earned,
        "absorbed": earned if absorbs else 0,
        **_gst(refund.tax, currency),
    }
    return _about_payment(key, message, currency, amounts, ("rfd", refund.refund_id), refund.requested_by)


def payment_disputed(message: disputes_pb2.PaymentDisputed) -> FinancialEvent:
    return _dispute("payment.disputed", message, {"disputed": message.dispute.amount.minor})


def payment_dispute_won(message: disputes_pb2.PaymentDisputeWon) -> FinancialEvent:
    return _dispute("payment.dispute.won", message, {"disputed": message.dispute.amount.minor})


def payment_dispute_lost(message: disputes_pb2.PaymentDisputeLost) -> FinancialEvent:
    dispute = message.dispute
    currency = dispute.amount.currency
    amounts = {
        "disputed": dispute.amount.minor,
        "held": dispute.value_held,
        "earned": _minor(dispute.tax.net, currency) - dispute.value_held,
        "fee": dispute.fee_minor,
        **_gst(dispute.tax, currency),
    }
    return _dispute("payment.dispute.lost", message, amounts)


def _dispute(
    key: str,
    message: disputes_pb2.PaymentDisputed | disputes_pb2.PaymentDisputeWon | disputes_pb2.PaymentDisputeLost,
    amounts: dict[str, int],
) -> FinancialEvent:
    dispute = message.dispute
    return _about_payment(key, message, dispute.amount.currency, amounts, ("dsp", dispute.dispute_id))


def settlement_imported(message: settlements_pb2.SettlementImported) -> FinancialEvent:
    """What the settlement came to since it was booked last; each amount may be negative."""
    settlement = message.settlement
    return FinancialEvent(
        "settlement.imported",
        ids.decode("evt", message.event_id),
        settlement.merchant_id,
        "stl",
        ids.decode("stl", settlement.settlement_id),
        None,
        bounded_micros(message.time_unix_micros),
        settlement.gateway,
        settlement.currency,
        {
            "gross": message.gross_minor,
            "fee": message.fee_minor,
            "fee_tax": message.fee_tax_minor,
            "adjustment": message.adjustment_minor,
            "net": message.net_minor,
        },
        _PAYMENT,
    )


def wallet_credited(message: wallet_events.WalletCredited) -> FinancialEvent:
    return _about_transaction("wallet.credited", message, _credits(message), payment_id=message.payment_id)


def wallet_debited(message: wallet_events.WalletDebited) -> FinancialEvent:
    amounts = _credits(message) | {"value": message.value.minor}
    return _about_transaction("wallet.debited", message, amounts, message.value.currency)


def wallet_locked(message: wallet_events.WalletLocked) -> FinancialEvent:
    return _about_transaction("wallet.locked", message, _credits(message), payment_id=message.payment_id)


def wallet_released(message: wallet_events.WalletReleased) -> FinancialEvent:
    return _about_transaction("wallet.released", message, _credits(message), payment_id=message.payment_id)


def wallet_reversed(message: wallet_events.WalletReversed) -> FinancialEvent:
    amounts = _credits(message) | {"debt": message.debt}
    return _about_transaction("wallet.reversed", message, amounts, payment_id=message.payment_id)


def wallet_debt_settled(message: wallet_events.WalletDebtSettled) -> FinancialEvent:
    amounts = _credits(message) | {"value": message.value.minor, "forgiven": message.credits_forgiven}
    actor_id = message.actor_id or _WALLET
    return _about_transaction("wallet.debt.settled", message, amounts, message.value.currency, actor_id=actor_id)


def _credits(message: _WalletMessage) -> dict[str, int]:
    return {"credits_paid": message.credits_paid, "credits_bonus": message.credits_bonus}


def _about_payment(
    key: str, message: _PaymentMessage, currency: str, amounts: dict[str, int], thing: tuple[str, str] | None = None,
    actor_id: str = "",
) -> FinancialEvent:  # fmt: skip
    """About a payment, or about a *thing* (prefix, id) that goes back to it."""
    payment = message.payment
    payment_id = ids.decode("pay", payment.payment_id)
    prefix, reference = (thing[0], ids.decode(*thing)) if thing else ("pay", payment_id)
    return FinancialEvent(
        key,
        ids.decode("evt", message.event_id),
        payment.merchant_id,
        prefix,
        reference,
        payment_id if thing else None,
        bounded_micros(message.time_unix_micros),
        payment.gateway,
        currency,
        amounts,
        actor_id or _PAYMENT,
        payment.user_id,
    )


def _about_transaction(
    key: str, message: _WalletMessage, amounts: dict[str, int], currency: str = "", payment_id: str = "",
    actor_id: str = _WALLET,
) -> FinancialEvent:  # fmt: skip
    cause, reference = _cause_and_reference(message.event_id, message.transaction_id)
    return FinancialEvent(
        key,
        cause,
        message.owner.merchant_id,
        "wtx",
        reference,
        ids.decode("pay", payment_id) if payment_id else None,
        bounded_micros(message.time_unix_micros),
        "",
        currency,
        amounts,
        actor_id,
        message.owner.id,
    )


def _cause_and_reference(event_id: str, transaction_id: str) -> tuple[UUID, UUID]:
    """The ids behind both. The wallet gives an event its transaction's id: one decoding is nearly always enough."""
    cause = ids.decode("evt", event_id)
    return cause, cause if transaction_id == "wtx" + event_id[3:] else ids.decode("wtx", transaction_id)


def _gst(tax: payment_pb2.Tax, currency: str) -> dict[str, int]:
    return {
        "cgst": _minor(tax.cgst, currency),
        "sgst": _minor(tax.sgst, currency),
        "igst": _minor(tax.igst, currency),
    }


def _minor(money: common_pb2.Money, currency: str) -> int:
    """A part in the currency of the whole; a part that is zero may leave its currency out."""
    if money.minor and money.currency != currency:
        raise CurrencyMixed(f"{money.currency or 'no currency'} in an event in {currency or 'no currency'}")
    return money.minor
