"""Domain ⇄ protobuf, intents' payloads and the operators' story. No decisions."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from commdesk.common.v1 import common_pb2
from commdesk.common.v1.events_pb2 import AdminAlertRaised
from commdesk.payment.v1 import events_pb2 as pb
from common import ids
from common.delivery import Story, StoryEntry
from common.money import Money
from notifier.domain import (
    Mail,
    NotPaid,
    Paid,
    Status,
    Template,
    failure_mail,
    shown_number,
    success_mail,
)
from notifier.domain.digest import Alert, Notice, cause_of
from notifier.store import Line

packed = msgspec.msgpack.Encoder().encode
unpacked = msgspec.msgpack.Decoder(Mail).decode


def payment_succeeded(message: pb.EmailPaymentSucceeded) -> Mail:
    tax = message.tax
    return success_mail(
        Paid(
            email_id=ids.new(),
            merchant_id=message.merchant_id,
            recipient=message.recipient.email,
            name=message.recipient.name,
            payment_id=ids.decode("pay", message.payment_id),
            payment=message.payment_id,
            order_id=message.order_id,
            transaction=message.transaction_id,
            invoice_number=message.invoice_number,
            amount=_money(message.amount),
            net=_money(tax.net),
            taxes=(("CGST", _money(tax.cgst)), ("SGST", _money(tax.sgst)), ("IGST", _money(tax.igst))),
            credits_paid=message.credits_paid,
            credits_bonus=message.credits_bonus,
            method=message.method,
            paid_unix_micros=message.paid_unix_micros,
        )
    )


def payment_failed(message: pb.EmailPaymentFailed) -> Mail:
    return failure_mail(
        NotPaid(
            email_id=ids.new(),
            merchant_id=message.merchant_id,
            recipient=message.recipient.email,
            name=message.recipient.name,
            payment_id=ids.decode("pay", message.payment_id),
            payment=message.payment_id,
            order_id=message.order_id,
            amount=_money(message.amount),
            reason=message.reason,
            retry_url=message.retry_url,
        )
    )


def alert(message: AdminAlertRaised) -> Alert:
    fields = ", ".join(f"{name}={value}" for name, value in sorted(message.fields.items()))
    return Alert(cause_of(message.cause), message.service, message.summary, fields)


def alert_mail(notice: Notice, operator: str, window: timedelta) -> Mail:
    """The mail about *notice* to one operator; key `admin-alert:<cause>:<number>:<operator>`."""
    return Mail(
        email_id=ids.new(),
        key=f"admin-alert:{notice.cause}:{notice.number}:{operator}",
        template=Template.ADMIN_ALERT,
        merchant_id="",
        recipient=operator,
        subject=f"[CommDesk Pay] {notice.cause}: {shown_number(notice.count)} alert(s)",
        values={
            "cause": notice.cause,
            "count": shown_number(notice.count),
            "more": shown_number(notice.count - len(notice.samples)) if notice.count > len(notice.samples) else "",
            "window": f"{int(window.total_seconds())} seconds",
        },
        lines=[(str(number), sample) for number, sample in enumerate(notice.samples, 1)],
    )


def story(lines: Sequence[Line]) -> Story:
    """When which mail was queued and how it ended. Addresses stay out: stories are pasted into tickets."""
    entries = []
    for line in lines:
        entries.append(StoryEntry(line.queued_at, "mail", f"{line.template} queued", {}))
        if line.status is not Status.QUEUED and line.finished_at is not None:
            fields = {
                "reason": line.reason,
                "attempts": str(line.attempts),
                "smtpCode": str(line.provider_code) if line.provider_code else "",
            }
            shown = {name: value for name, value in fields.items() if value}
            entries.append(StoryEntry(line.finished_at, "mail", f"{line.template} {line.status.lower()}", shown))
    return Story(sorted(entries, key=_time), sorted({line.order_id for line in lines if line.order_id}))


def _time(entry: StoryEntry) -> float:
    return entry.time.timestamp()


def payment_id(text: str) -> UUID | None:
    try:
        return ids.decode("pay", text)
    except ids.InvalidId:
        return None


def _money(message: common_pb2.Money) -> Money:
    return Money(message.minor, message.currency or "INR")
