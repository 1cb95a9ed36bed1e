"""The mails there are, what they say, and how they end."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec

from common import ids
from common.money import Money
from common.names import shown_name
from notifier.domain import recipients
from notifier.domain.smtp_replies import MailRejected, MailSent
from notifier.domain.text import format_amount, format_number, format_time, one_line, safe_url

RECIPIENT_INVALID: Final = "recipient_invalid"
RECIPIENT_SUPPRESSED: Final = "recipient_suppressed"
MAIL_FAILED: Final = "mail_failed"
# The characters that a Message-ID takes without quoting.
_ATOM: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


class Template(StrEnum):
    """Each has a `.txt.j2` and a `.html.j2`."""

    PAYMENT_SUCCESS = "payment_success"
    PAYMENT_FAILED = "payment_failed"
    PAYMENT_REFUND = "payment_refund"
    ACCOUNT_VERIFY = "account_verify"
    ACCOUNT_RESET = "account_reset"
    ACCOUNT_EXISTS = "account_exists"
    ACCOUNT_INVITE = "account_invite"
    ADMIN_ALERT = "admin_alert"


class Status(StrEnum):
    QUEUED = "QUEUED"
    SENT = "SENT"
    FAILED = "FAILED"
    SUPPRESSED = "SUPPRESSED"


# The words for payment's catalogue of reasons. What a bank wrote never gets here.
REASONS: Final[Mapping[str, str]] = {
    "declined": "Your bank declined the payment.",
    "authentication_failed": "The payment could not be confirmed with your bank (OTP, PIN or app approval).",
    "insufficient_funds": "There was not enough money in the account.",
    "limit_exceeded": "The amount is above a limit of your bank, card or app.",
    "invalid_details": "Some of the payment details were not right.",
    "bank_unavailable": "Your bank could not be reached.",
    "dropped_by_customer": "The payment was not completed.",
    "order_closed": "The time to pay was over before the payment was completed.",
    "gateway_refused": "The payment provider could not take the payment.",
    "receipt_refunded": "The payment could not be completed; what was paid has been returned to you.",
    "review_dismissed": "The payment was not completed; nothing was paid.",
    "failed": "The payment did not go through.",
}
_REASON_UNKNOWN: Final = REASONS["failed"]


class Mail(msgspec.Struct, frozen=True):
    """A mail to be sent: what an intent carries. *values* are the template's, all of them ready to be shown."""

    email_id: UUID
    # The business key: one mail for each, for ever. Becomes the Message-ID.
    key: str
    template: Template
    merchant_id: str
    recipient: str
    subject: str
    values: dict[str, str]
    # Further lines: amounts, or the alerts of a digest.
    lines: list[tuple[str, str]]
    payment_id: UUID | None = None
    order_id: str = ""


class MailRecord(msgspec.Struct, frozen=True):
    """A mail as it is first stored: queued, or with the reason why it never will be."""

    mail: Mail
    message_id: str
    status: Status = Status.QUEUED
    reason: str | None = None


class MailOutcome(msgspec.Struct, frozen=True):
    """How a mail ended."""

    email_id: UUID
    status: Status
    reason: str | None
    attempts: int
    smtp_code: int


class MailHistory(msgspec.Struct, frozen=True):
    """A mail as operators see it: never to whom."""

    template: str
    status: Status
    queued_at: datetime
    finished_at: datetime | None
    order_id: str
    reason: str
    attempts: int
    smtp_code: int | None


class SucceededPayment(msgspec.Struct, frozen=True):
    """What a success mail tells."""

    merchant_id: str
    recipient: str
    name: str
    payment_id: UUID
    order_id: str
    transaction_id: str
    invoice_number: str
    amount: Money
    net: Money
    taxes: Sequence[tuple[str, Money]]
    credits_paid: int
    credits_bonus: int
    method: str
    paid_at: datetime


class FailedPayment(msgspec.Struct, frozen=True):
    """What a failure mail tells."""

    merchant_id: str
    recipient: str
    name: str
    payment_id: UUID
    order_id: str
    amount: Money
    reason: str
    retry_url: str


class RefundedPayment(msgspec.Struct, frozen=True):
    """What a refund mail tells. *status* is a word of REFUND_NEWS, *expected_date* a day in India or empty."""

    merchant_id: str
    recipient: str
    name: str
    payment_id: UUID
    refund_id: str
    order_id: str
    amount: Money
    status: str
    expected_date: str
    method: str
    credit_note_number: str
    bank_reference: str
    credits: int


# How far the refund is, in the mail's words.
REFUND_NEWS: Final[Mapping[str, str]] = {
    "INITIATED": "We have begun to return this amount to you.",
    "PROCESSING": "This amount is on its way back to you.",
    "SUCCESS": "This amount was returned to you.",
    "FAILED": "This amount could not be returned. We look into it and will write again.",
    "REVERSED": "Your bank sent this amount back to us. Please write to us, so that we can return it another way.",
}


def success_mail(payment: SucceededPayment, email_id: UUID) -> Mail:
    """The mail with the invoice; key `payment-success:<payment>`."""
    lines = [(name, format_amount(tax)) for name, tax in payment.taxes if tax.minor]
    if lines:
        lines.insert(0, ("Price without tax", format_amount(payment.net)))
    lines.append(("Total paid", format_amount(payment.amount)))
    payment_id = ids.encode("pay", payment.payment_id)
    return Mail(
        email_id=email_id,
        key=f"payment-success:{payment_id}",
        template=Template.PAYMENT_SUCCESS,
        merchant_id=payment.merchant_id,
        recipient=payment.recipient,
        subject=f"Payment received: {format_amount(payment.amount)}",
        values={
            # Who wrote it is not known to be the reader: what is no name is left out.
            "name": shown_name(payment.name),
            "payment_id": payment_id,
            "transaction_id": payment.transaction_id,
            "order_id": one_line(payment.order_id),
            "invoice_number": one_line(payment.invoice_number),
            "amount": format_amount(payment.amount),
            "credits": format_number(payment.credits_paid + payment.credits_bonus),
            "credits_paid": format_number(payment.credits_paid),
            "credits_bonus": format_number(payment.credits_bonus) if payment.credits_bonus else "",
            "method": one_line(payment.method).replace("_", " "),
            "paid_at": format_time(payment.paid_at),
        },
        lines=lines,
        payment_id=payment.payment_id,
        order_id=payment.order_id,
    )


def failure_mail(payment: FailedPayment, email_id: UUID) -> Mail:
    """The mail with the reason and the way to try again; key `payment-failed:<payment>`."""
    payment_id = ids.encode("pay", payment.payment_id)
    return Mail(
        email_id=email_id,
        key=f"payment-failed:{payment_id}",
        template=Template.PAYMENT_FAILED,
        merchant_id=payment.merchant_id,
        recipient=payment.recipient,
        subject=f"Your payment of {format_amount(payment.amount)} did not go through",
        values={
            # Who wrote it is not known to be the reader: what is no name is left out.
            "name": shown_name(payment.name),
            "payment_id": payment_id,
            "order_id": one_line(payment.order_id),
            "amount": format_amount(payment.amount),
            "reason": REASONS.get(payment.reason, _REASON_UNKNOWN),
            "retry_url": safe_url(payment.retry_url),
        },
        lines=[],
        payment_id=payment.payment_id,
        order_id=payment.order_id,
    )


def refund_mail(payment: RefundedPayment, email_id: UUID) -> Mail:
    """How far a refund is, and when the bank has it back; key `payment-refund:<refund>:<status>`."""
    amount = format_amount(payment.amount)
    lines = [("Refunded", amount)]
    lines += [
        (title, text)
        for title, text in (
            ("Expected by", payment.expected_date),
            ("Credits taken back", format_number(payment.credits) if payment.credits else ""),
            ("Credit note", one_line(payment.credit_note_number)),
            ("Bank's reference", one_line(payment.bank_reference)),
        )
        if text
    ]
    return Mail(
        email_id=email_id,
        key=f"payment-refund:{payment.refund_id}:{payment.status.lower()}",
        template=Template.PAYMENT_REFUND,
        merchant_id=payment.merchant_id,
        recipient=payment.recipient,
        subject=f"Your refund of {amount}",
        values={
            # Who wrote it is not known to be the reader: what is no name is left out.
            "name": shown_name(payment.name),
            "payment_id": ids.encode("pay", payment.payment_id),
            "refund_id": payment.refund_id,
            "order_id": one_line(payment.order_id),
            "amount": amount,
            "news": REFUND_NEWS[payment.status],
            "method": one_line(payment.method).replace("_", " "),
        },
        lines=lines,
        payment_id=payment.payment_id,
        order_id=payment.order_id,
    )


def message_id(mail: Mail, sender_domain: str) -> str:
    """Made of the mail's key, so that a mail that goes out twice is recognised as the same."""
    local = mail.key.replace(":", ".")
    if not _ATOM.issuperset(local) or len(local) > 200:
        local = sha256(mail.key.encode()).hexdigest()
    return f"<{local}@{sender_domain}>"


def first_of_each_key(mails: Sequence[Mail]) -> list[Mail]:
    return list({mail.key: mail for mail in reversed(mails)}.values())


def admit(mail: Mail, sender_domain: str, suppressed_keys: Collection[str]) -> MailRecord:
    """Whether *mail* is queued, or stored with the reason why it is not."""
    header = message_id(mail, sender_domain)
    address = recipients.parse_address(mail.recipient)
    if address is None:
        return MailRecord(mail, header, Status.FAILED, RECIPIENT_INVALID)
    mail = msgspec.structs.replace(mail, recipient=address)
    if recipients.suppression_key(address) in suppressed_keys:
        return MailRecord(mail, header, Status.SUPPRESSED, RECIPIENT_SUPPRESSED)
    return MailRecord(mail, header)


def outcome(email_id: UUID, attempts: int, result: MailSent | MailRejected) -> MailOutcome:
    if isinstance(result, MailSent):
        return MailOutcome(email_id, Status.SENT, None, attempts, result.code)
    return MailOutcome(email_id, Status.FAILED, result.reason, attempts, result.code)
