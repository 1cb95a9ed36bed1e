"""Protobuf events → domain. No decisions."""

from datetime import date

from commdesk.common.v1 import common_pb2
from commdesk.common.v1.events_pb2 import AdminAlertRaised
from commdesk.identity.v1.events_pb2 import AccountMailRequested
from commdesk.payment.v1 import events_pb2 as pb
from commdesk.payment.v1.refunds_pb2 import EmailPaymentRefunded, RefundStatus
from common import ids
from common.errors import RequestInvalid
from common.events import from_micros
from common.money import Money
from common.seals import ACCOUNT_TOKEN, EMAIL, NAME, Sealer
from notifier.domain.account_mails import TEMPLATES, AccountMailRequest
from notifier.domain.alert_digests import Alert, parse_cause
from notifier.domain.mails import REFUND_NEWS, FailedPayment, RefundedPayment, SucceededPayment, Template


def payment_succeeded(sealer: Sealer, message: pb.EmailPaymentSucceeded) -> SucceededPayment:
    tax = message.tax
    return SucceededPayment(
        merchant_id=message.merchant_id,
        recipient=sealer.open(EMAIL, message.recipient.email),
        name=sealer.open(NAME, message.recipient.name),
        payment_id=ids.decode("pay", message.payment_id),
        order_id=message.order_id,
        transaction_id=message.transaction_id,
        invoice_number=message.invoice_number,
        amount=_money(message.amount),
        net=_money(tax.net),
        taxes=(("CGST", _money(tax.cgst)), ("SGST", _money(tax.sgst)), ("IGST", _money(tax.igst))),
        credits_paid=message.credits_paid,
        credits_bonus=message.credits_bonus,
        method=message.method,
        paid_at=from_micros(message.paid_unix_micros),
    )


def payment_failed(sealer: Sealer, message: pb.EmailPaymentFailed) -> FailedPayment:
    return FailedPayment(
        merchant_id=message.merchant_id,
        recipient=sealer.open(EMAIL, message.recipient.email),
        name=sealer.open(NAME, message.recipient.name),
        payment_id=ids.decode("pay", message.payment_id),
        order_id=message.order_id,
        amount=_money(message.amount),
        reason=message.reason,
        retry_url=message.retry_url,
    )


def payment_refunded(sealer: Sealer, message: EmailPaymentRefunded) -> RefundedPayment:
    """Raises IdInvalid, or RequestInvalid for a status or a date that says nothing."""
    ids.decode("rfd", message.refund_id)
    status = _REFUND_STATUSES.get(message.status)
    if status is None:
        raise RequestInvalid("there is no such mail", status="is none of a refund's")
    return RefundedPayment(
        merchant_id=message.merchant_id,
        recipient=sealer.open(EMAIL, message.recipient.email),
        name=sealer.open(NAME, message.recipient.name),
        payment_id=ids.decode("pay", message.payment_id),
        refund_id=message.refund_id,
        order_id=message.order_id,
        amount=_money(message.amount),
        status=status,
        expected_date=_day(message.expected_date) if message.expected_date else "",
        method=message.method,
        credit_note_number=message.credit_note_number,
        bank_reference=message.bank_reference,
        credits=message.credits,
    )


_REFUND_STATUSES = {RefundStatus.Value(f"REFUND_STATUS_{status}"): status for status in REFUND_NEWS}


def _day(text: str) -> str:
    try:
        return f"{date.fromisoformat(text):%d %B %Y}"
    except ValueError:
        raise RequestInvalid("a date cannot be read", expected_date="as in 2026-12-05") from None


def account_mail_requested(sealer: Sealer, message: AccountMailRequested) -> AccountMailRequest:
    """Raises RequestInvalid for a kind that is not known here."""
    template = f"account_{message.kind}"
    if template not in TEMPLATES:
        raise RequestInvalid("there is no such mail", kind="is none of the kinds of account mails")
    return AccountMailRequest(
        event_id=message.event_id,
        merchant_id=message.merchant_id,
        template=Template(template),
        recipient=sealer.open(EMAIL, message.email),
        name=sealer.open(NAME, message.name),
        token=sealer.open(ACCOUNT_TOKEN, message.token),
        expires_at=from_micros(message.expires_unix_micros),
        account_name=message.account_name,
    )


def alert_raised(message: AdminAlertRaised) -> Alert:
    fields = ", ".join(f"{name}={value}" for name, value in sorted(message.fields.items()))
    return Alert(parse_cause(message.cause), message.service, message.summary, fields)


def _money(message: common_pb2.Money) -> Money:
    return Money(message.minor, message.currency or "INR")
