"""A real SMTP server that replies as a test says, and builders of the events that ask for mails."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Protocol

import msgspec
import pytest
import pytest_asyncio
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from commdesk.common.v1.common_pb2 import Money
from commdesk.payment.v1 import events_pb2 as pb
from commdesk.payment.v1.payment_pb2 import Tax
from commdesk.payment.v1.refunds_pb2 import REFUND_STATUS_SUCCESS, EmailPaymentRefunded
from common import ids
from common.testing import free_port
from notifier.gateways.smtp import Smtp
from notifier.rendering import Renderer


class Inbox(msgspec.Struct):
    """What the server accepted. How it replies is written in the recipient's address. Mutable: the server fills it."""

    mails: list[EmailMessage] = []
    raw: list[bytes] = []
    connections: int = 0
    attempts: int = 0
    pipelining: bool = True
    # Replies to the next mails' senders and contents, before all else.
    sender_replies: list[str] = []
    content_replies: list[str] = []

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]] if self.pipelining else responses

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.attempts += 1
        if self.sender_replies:
            return self.sender_replies.pop(0)
        envelope.mail_from = address
        return "250 sender accepted"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("gone"):
            return "550 no such user"
        if address.startswith("later"):
            return "451 try again"
        envelope.rcpt_tos.append(address)
        return "250 recipient accepted"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        reply = self.content_replies.pop(0) if self.content_replies else "250 accepted"
        assert isinstance(envelope.content, bytes)
        if reply == "accept and drop":
            self._accept(envelope.content)
        if reply.endswith("drop"):
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
            return "250 lost with the connection"
        if reply.startswith("250"):
            self._accept(envelope.content)
        return reply

    def _accept(self, content: bytes) -> None:
        self.raw.append(content)
        mail = message_from_bytes(content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def smtp_port(inbox: Inbox) -> Iterator[int]:
    port = free_port()
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield port
    controller.stop()


class MakeSmtp(Protocol):
    def __call__(self, connections: int = 2, port: int = ..., tls: str = "auto") -> Smtp:
        """A gateway to the test's server, closed when the test ends."""


@pytest_asyncio.fixture
async def make_smtp(smtp_port: int) -> AsyncIterator[MakeSmtp]:
    gateways: list[Smtp] = []

    def make(connections: int = 2, port: int = smtp_port, tls: str = "auto") -> Smtp:
        smtp = Smtp(
            host="127.0.0.1", port=port, username="", password="", tls=tls, sender="billing@commdesk.example",
            connections=connections,
        )  # fmt: skip
        gateways.append(smtp)
        return smtp

    yield make
    for smtp in gateways:
        await smtp.aclose()
    await asyncio.sleep(0)


@pytest.fixture
def renderer() -> Renderer:
    return Renderer(
        sender_email="billing@commdesk.example", sender_name="CommDesk Pay", support_email="support@commdesk.example"
    )


@pytest.fixture
def succeeded() -> Callable[..., pb.EmailPaymentSucceeded]:
    """The event behind the mail about a ₹500 pack."""

    def build(email: str = "asha@example.com", name: str = "Asha") -> pb.EmailPaymentSucceeded:
        def inr(minor: int) -> Money:
            return Money(minor=minor, currency="INR")

        return pb.EmailPaymentSucceeded(
            event_id=ids.encode("evt", ids.new()),
            merchant_id="mer_commdesk",
            recipient=pb.Recipient(email=email, name=name),
            payment_id=ids.encode("pay", ids.new()),
            order_id=ids.encode("ord", ids.new()),
            transaction_id=ids.encode("txn", ids.new()),
            invoice_number="CDP2627/000042",
            amount=inr(50_000),
            tax=Tax(net=inr(42_374), cgst=inr(3_813), sgst=inr(3_813), igst=inr(0)),
            credits_paid=5_000,
            credits_bonus=500,
            method="upi",
            paid_unix_micros=1_795_200_000_000_000,
        )

    return build


@pytest.fixture
def failed() -> Callable[..., pb.EmailPaymentFailed]:
    def build(
        email: str = "asha@example.com",
        reason: str = "insufficient_funds",
        retry_url: str = "https://pay.example/again",
    ) -> pb.EmailPaymentFailed:
        return pb.EmailPaymentFailed(
            event_id=ids.encode("evt", ids.new()),
            merchant_id="mer_commdesk",
            recipient=pb.Recipient(email=email, name="Asha"),
            payment_id=ids.encode("pay", ids.new()),
            order_id="ord_1",
            amount=Money(minor=50_000_000, currency="INR"),
            reason=reason,
            retry_url=retry_url,
        )

    return build


@pytest.fixture
def refunded() -> Callable[..., EmailPaymentRefunded]:
    """The event behind the mail about a refund that succeeded."""

    def build(status: int = REFUND_STATUS_SUCCESS, expected_date: str = "2026-12-05") -> EmailPaymentRefunded:
        event = EmailPaymentRefunded(
            event_id=ids.encode("evt", ids.new()),
            merchant_id="mer_commdesk",
            recipient=pb.Recipient(email="asha@example.com", name="Asha"),
            payment_id=ids.encode("pay", ids.new()),
            order_id="ord_1",
            refund_id=ids.encode("rfd", ids.new()),
            amount=Money(minor=25_000, currency="INR"),
            expected_date=expected_date,
            method="net_banking",
            credit_note_number="CN2627/000007",
            bank_reference="ARN-123",
            credits=2_750,
        )
        event.status = status  # type: ignore[assignment]
        return event

    return build
