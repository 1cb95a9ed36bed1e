"""What is sent reads, in a mail program, as it was meant."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commdesk.payment.v1.events_pb2 import EmailPaymentFailed, EmailPaymentSucceeded
from commdesk.payment.v1.refunds_pb2 import EmailPaymentRefunded, RefundStatus
from common import ids
from common.errors import RequestInvalid
from common.seals import generated
from notifier import rendering
from notifier.domain.alert_digests import Notice, alert_mail
from notifier.domain.mails import REASONS, REFUND_NEWS, Mail, failure_mail, message_id, refund_mail, success_mail
from notifier.gateways.smtp import stuffed
from notifier.rendering import Renderer
from notifier.wire import mails as wire

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SEALER = generated()


def _read(raw: bytes) -> EmailMessage:
    mail = message_from_bytes(raw, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    assert not mail.defects
    return mail


def _success(event: EmailPaymentSucceeded) -> Mail:
    return success_mail(wire.payment_succeeded(SEALER, event), ids.new())


def _failure(event: EmailPaymentFailed) -> Mail:
    return failure_mail(wire.payment_failed(SEALER, event), ids.new())


def _alert(notice: Notice) -> Mail:
    return alert_mail(notice, "ops@example.com", timedelta(minutes=5), ids.new())


def _bodies(mail: EmailMessage) -> tuple[str, str]:
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert isinstance(plain, EmailMessage)
    assert isinstance(html, EmailMessage)
    return plain.get_content(), html.get_content()


def test_the_success_mail_says_everything(renderer: Renderer, succeeded: Callable[..., EmailPaymentSucceeded]) -> None:
    event = succeeded(name="राहुल & Söhne")
    raw = renderer.render(_success(event), NOW)
    mail = _read(raw)
    assert mail["subject"] == "Payment received: ₹500.00"
    assert mail["to"] == "asha@example.com"
    assert mail["from"] == "CommDesk Pay <billing@commdesk.example>"
    assert mail["message-id"] == f"<payment-success.{event.payment_id}@commdesk.example>"
    assert mail["date"] == "Thu, 01 Jan 2026 00:00:00 +0000"
    text, html = _bodies(mail)
    for body in (text, html):
        for expected in (
            event.payment_id, event.transaction_id, event.order_id, event.invoice_number, "₹500.00", "₹423.74", "CGST",
            "₹38.13", "SGST", "5,500", "5,000", "500", "IST", "support@commdesk.example", "upi",
        ):  # fmt: skip
            assert expected in body, expected
        assert "IGST" not in body
    assert "राहुल & Söhne" in text
    assert "राहुल &amp; Söhne" in html
    assert max(len(line) for line in raw.split(b"\r\n")) <= 200
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")


def test_the_refund_mail_says_how_much_by_when_and_what_was_taken(
    renderer: Renderer, refunded: Callable[..., EmailPaymentRefunded]
) -> None:
    event = refunded()
    refund = refund_mail(wire.payment_refunded(SEALER, event), ids.new())
    assert refund.key == f"payment-refund:{event.refund_id}:success"
    mail = _read(renderer.render(refund, NOW))
    assert mail["subject"] == "Your refund of ₹250.00"
    for body in _bodies(mail):
        for expected in (
            event.refund_id, event.payment_id, "₹250.00", "05 December 2026", "2,750", "CN2627/000007", "ARN-123",
            "net banking", REFUND_NEWS["SUCCESS"], "support@commdesk.example",
        ):  # fmt: skip
            assert expected in body, expected


@pytest.mark.parametrize("status", sorted(REFUND_NEWS))
def test_every_status_of_a_refund_has_its_words(
    renderer: Renderer, refunded: Callable[..., EmailPaymentRefunded], status: str
) -> None:
    event = refunded(status=RefundStatus.Value(f"REFUND_STATUS_{status}"), expected_date="")
    mail = _read(renderer.render(refund_mail(wire.payment_refunded(SEALER, event), ids.new()), NOW))
    text, _ = _bodies(mail)
    assert REFUND_NEWS[status] in text
    assert "Expected by" not in text


@pytest.mark.parametrize("wrong", [{"status": 0}, {"expected_date": "soon"}])
def test_a_refund_that_says_nothing_is_refused(
    refunded: Callable[..., EmailPaymentRefunded], wrong: dict[str, Any]
) -> None:
    with pytest.raises(RequestInvalid):
        wire.payment_refunded(SEALER, refunded(**wrong))


def test_the_failure_mail_has_words_and_a_way_on(renderer: Renderer, failed: Callable[..., EmailPaymentFailed]) -> None:
    mail = _read(renderer.render(_failure(failed(retry_url="https://pay.example/?a=1&b=2")), NOW))
    text, html = _bodies(mail)
    assert mail["subject"] == "Your payment of ₹5,00,000.00 did not go through"
    assert REASONS["insufficient_funds"] in text
    assert "Try again: https://pay.example/?a=1&b=2" in text
    assert 'href="https://pay.example/?a=1&amp;b=2"' in html
    assert "support@commdesk.example" in text
    unknown = _read(renderer.render(_failure(failed(reason="XYZ-99", retry_url="javascript:x")), NOW))
    for body in _bodies(unknown):
        assert REASONS["failed"] in body
        assert "XYZ" not in body
        assert "javascript" not in body


def test_the_alert_mail_counts(renderer: Renderer) -> None:
    notice = Notice("dead_letter", 2, 1234, tuple(f"wallet: number {number}" for number in range(10)))
    mail = _read(renderer.render(_alert(notice), NOW))
    text, html = _bodies(mail)
    assert mail["subject"] == "[CommDesk Pay] dead_letter: 1,234 alert(s)"
    assert "… and 1,224 more" in text
    assert "<li>wallet: number 9</li>" in html


def test_an_odd_key_still_makes_a_message_id() -> None:
    notice = Notice("strange cause <x>", 1, 1, ("a",))
    mail = _alert(notice)
    assert message_id(mail, "commdesk.example") == message_id(mail, "commdesk.example")
    assert set(message_id(mail, "commdesk.example")) <= set("<>@abcdefghijklmnopqrstuvwxyz0123456789.")


@pytest.mark.parametrize("evil", ["x\r\nBcc: a@b.in", "x\nBcc: a@b.in", "x\rBcc", "x\0"])
def test_nothing_gets_into_the_headers(
    renderer: Renderer, succeeded: Callable[..., EmailPaymentSucceeded], evil: str
) -> None:
    mail = _success(succeeded(name=evil))
    assert _read(renderer.render(mail, NOW))["bcc"] is None
    for field in ("recipient", "subject"):
        broken = msgspec.structs.replace(mail, **{field: evil})
        with pytest.raises(ValueError, match="one line"):
            renderer.render(broken, NOW)


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=200))
def test_subjects_survive(text: str) -> None:
    raw = f"Subject: {rendering.encode_header(text)}\r\n\r\n".encode("ascii")
    assert message_from_bytes(raw, policy=policy.default)["subject"] == text


@given(st.binary(max_size=200).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"\r\n")))
def test_dots_come_back(message: bytes) -> None:
    sent = stuffed(message) + b".\r\n"
    body, _, rest = sent.partition(b"\r\n.\r\n") if not sent.startswith(b".\r\n") else (b"", b"", b"")
    assert rest == b""
    received = (b"\r\n" + body).replace(b"\r\n..", b"\r\n.")[2:]
    assert received == message.removesuffix(b"\r\n") if message.endswith(b"\r\n") else received == message


@pytest.mark.parametrize("name", ['Comm "Desk", Pay', "कॉमडेस्क", "CommDesk Pay"])
def test_the_name_of_the_sender_survives(succeeded: Callable[..., EmailPaymentSucceeded], name: str) -> None:
    renderer = Renderer(
        sender_email="billing@commdesk.example", sender_name=name, support_email="support@commdesk.example"
    )
    raw = renderer.render(_success(succeeded()), NOW)
    [address] = _read(raw)["from"].addresses
    assert (address.display_name, address.addr_spec) == (name, "billing@commdesk.example")
    assert max(len(line) for line in raw.split(b"\r\n")) <= 200
