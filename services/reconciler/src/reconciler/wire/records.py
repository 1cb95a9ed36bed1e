"""Messages of payment, wallet and ledger as what matching compares."""

from datetime import datetime

from commdesk.ledger.v1 import ledger_pb2 as ledger_pb
from commdesk.payment.v1 import payment_pb2
from commdesk.payment.v1 import refunds_pb2 as refunds_pb
from commdesk.payment.v1 import settlements_pb2 as pb
from commdesk.wallet.v1 import wallet_pb2 as wallet_pb
from common.events import from_micros
from reconciler.domain.records import AccountSum, Grant, PaymentRecord, RefundRecord, Settlement, SettlementRow

_PAYMENT_STATUS = {number: name.removeprefix("PAYMENT_STATUS_") for name, number in payment_pb2.PaymentStatus.items()}
_REFUND_STATUS = {number: name.removeprefix("REFUND_STATUS_") for name, number in refunds_pb.RefundStatus.items()}


def payment(message: pb.PaymentRecord) -> PaymentRecord:
    stated = message.payment
    return PaymentRecord(
        payment_id=stated.payment_id,
        merchant_id=stated.merchant_id,
        order_id=stated.order_id,
        gateway=stated.gateway,
        account_id=message.account_id,
        gateway_payment_id=stated.gateway_payment_id,
        # A status that this version does not know is its number: it counts as not paid, and shows.
        status=_PAYMENT_STATUS.get(stated.status, str(stated.status)),
        method=stated.method,
        amount_minor=stated.amount.minor,
        currency=stated.amount.currency,
        credits=stated.credits_paid + stated.credits_bonus,
        refunded_minor=message.refunded_minor,
        unapplied_minor=message.unapplied_minor,
        is_confirmed=message.is_confirmed,
        created_at=from_micros(stated.created_unix_micros),
        changed_at=from_micros(message.changed_unix_micros),
        paid_at=_moment(message.paid_unix_micros),
        webhook_at=_moment(message.webhook_unix_micros),
    )


def settlement(message: pb.Settlement) -> Settlement:
    return Settlement(
        settlement_id=message.settlement_id,
        merchant_id=message.merchant_id,
        gateway=message.gateway,
        account_id=message.account_id,
        gateway_settlement_id=message.gateway_settlement_id,
        utr=message.utr,
        status=message.status,
        currency=message.currency,
        gross_minor=message.gross_minor,
        fee_minor=message.fee_minor,
        fee_tax_minor=message.fee_tax_minor,
        adjustment_minor=message.adjustment_minor,
        net_minor=message.net_minor,
        seq=message.seq,
        settled_at=_moment(message.settled_unix_micros),
    )


def row(message: pb.SettlementRow) -> SettlementRow:
    return SettlementRow(
        row_id=message.row_id,
        settlement_id=message.settlement_id,
        kind=message.kind,
        payment_id=message.payment_id,
        order_id=message.order_id,
        gateway_payment_id=message.gateway_payment_id,
        refund_id=message.refund_id,
        amount_minor=message.amount_minor,
        fee_minor=message.fee_minor,
        fee_tax_minor=message.fee_tax_minor,
        net_minor=message.net_minor,
        currency=message.currency,
        utr=message.utr,
        at=_moment(message.event_unix_micros),
    )


def refund(message: refunds_pb.Refund) -> RefundRecord:
    return RefundRecord(
        refund_id=message.refund_id,
        payment_id=message.payment_id,
        status=_REFUND_STATUS.get(message.status, str(message.status)),
        amount_minor=message.amount.minor,
        currency=message.amount.currency,
        created_at=from_micros(message.created_unix_micros),
        receipt_id=message.receipt_id,
    )


def grant(message: wallet_pb.PaymentGrant) -> Grant:
    return Grant(
        payment_id=message.payment_id,
        credits=message.credits_paid + message.credits_bonus,
        granted_again=message.granted_again,
        reversed=message.reversed,
        grants=message.grants,
    )


def account_sum(message: ledger_pb.PaymentSum) -> AccountSum:
    return AccountSum(account=message.account, asset=message.asset, debit=message.debit, credit=message.credit)


def _moment(unix_micros: int) -> datetime | None:
    return from_micros(unix_micros) if unix_micros else None
