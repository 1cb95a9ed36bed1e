"""Which events a change of a payment announces, and to whom; wire encodes the messages.

Money that moved is audited by its journal, which names the event (decision 43); everything else by a line of its own.
"""

from collections.abc import Iterable

from google.protobuf.message import Message

from payment.domain.decisions import (
    Alerted,
    Announcement,
    Corrected,
    Created,
    Decision,
    Held,
    Moved,
    ReceiptRefunded,
    ReceiptReturned,
    Received,
    Released,
)
from payment.domain.states import Status
from payment.wire import events


def messages_for(decisions: Iterable[Decision], public_url: str) -> list[Message]:
    """All messages about these decisions, in order. *public_url* is where a failed payment may be tried again."""
    return [
        message
        for decision in decisions
        for announcement in decision.announcements
        for message in messages(announcement, public_url)
    ]


def messages(announcement: Announcement, public_url: str) -> list[Message]:
    match announcement:
        case Created():
            return _created(announcement)
        case Alerted():
            return _alerted(announcement)
        case Corrected():
            return [_corrected(announcement)]
        case Received(payment, receipt, at):
            return [events.received(payment, receipt, at)]
        case ReceiptRefunded(payment, receipt, gateway_refund_id, at, refund_id):
            return [events.receipt_refunded(payment, receipt, gateway_refund_id, at, refund_id)]
        case ReceiptReturned(payment, receipt, minor, refund_id, at):
            return [events.receipt_returned(payment, receipt, minor, refund_id, at)]
        case Held(payment, receipt, at):
            return [events.held(payment, receipt, at)]
        case Released(payment, at, granted):
            return [events.released(payment, at, granted=granted)]
        case Moved():
            return _moved(announcement, public_url)


def _created(created: Created) -> list[Message]:
    payment, at = created.payment, created.at
    return [
        events.created(payment, at),
        events.analytics_created(payment, at),
        events.audit(payment, "payment.create", None, at, origin=payment.origin),
    ]


def _alerted(alerted: Alerted) -> list[Message]:
    payment, at = alerted.payment, alerted.at
    return [
        events.alert(payment, alerted.cause, alerted.detail, at),
        events.audit(payment, f"payment.{alerted.cause}", payment.status, at, detail=alerted.detail),
    ]


def _corrected(corrected: Corrected) -> Message:
    payment = corrected.payment
    return events.audit(
        payment,
        "payment.correct_capture",
        payment.status,
        corrected.at,
        claimed=corrected.claimed_id,
        listed=payment.gateway_payment_id,
    )


def _moved(moved: Moved, public_url: str) -> list[Message]:
    payment, before, at = moved.payment, moved.before, moved.at
    match payment.status:
        case Status.SUCCESS:
            assert moved.transaction_id is not None, "a success names its transaction"
            return [
                events.succeeded(payment, moved.transaction_id, at, moved.receipt_id),
                events.analytics_succeeded(payment, before, at),
            ]
        case Status.FAILED:
            return _failed(moved, public_url)
        case Status.EXPIRED:
            return [
                events.expired(payment, at),
                events.analytics_failed(payment, "expired", at),
                events.audit(payment, "payment.expire", before, at),
            ]
        case Status.CANCELLED:
            return [
                events.cancelled(payment, at),
                events.analytics_failed(payment, "cancelled", at),
                events.audit(payment, "payment.cancel", before, at),
            ]
        case Status.PROCESSING | Status.AUTHORIZING:
            return [events.processing(payment, at)]
        case _:
            return []


def _failed(moved: Moved, public_url: str) -> list[Message]:
    payment, at = moved.payment, moved.at
    # Before money has come, an address from the request may be a stranger's, and so may an account's that is not
    # verified: only the account's own, verified one gets a mail.
    is_mailed = payment.is_account_email and bool(payment.customer.email)
    about_failure: list[Message] = [
        events.failed(payment, moved.reason, at),
        events.analytics_failed(payment, moved.reason, at),
        events.audit(payment, "payment.fail", moved.before, at, mailed=is_mailed),
    ]
    if is_mailed:
        # To our own page: where the request wanted the customer back proves nothing about who runs that place.
        about_failure.append(events.mail_failed(payment, moved.reason, public_url, at))
    return about_failure
