"""The pool of connections against a real SMTP server that accepts, refuses, closes and stops answering."""

import asyncio

import pytest

from common.intents import RetryLater
from common.testing import free_port
from notifier.domain.smtp_replies import ATTEMPTS_MAX, MailRejected, MailSent
from notifier.gateways import smtp as module
from notifier.gateways.smtp import MailConnectionLost, MailServerUnreachable
from services.notifier.tests.conftest import Inbox, MakeSmtp

MESSAGE = b"Subject: hello\r\nMessage-ID: <1@x>\r\n\r\n.a line that begins with a dot\r\n..\r\nthe end\r\n"


@pytest.mark.parametrize("pipelining", [True, False])
async def test_a_mail_arrives_as_it_was_sent(inbox: Inbox, make_smtp: MakeSmtp, pipelining: bool) -> None:
    inbox.pipelining = pipelining
    assert await make_smtp().send("asha@example.com", MESSAGE, 1) == MailSent(250)
    assert inbox.raw == [MESSAGE]


@pytest.mark.parametrize("pipelining", [True, False])
async def test_connections_are_few_and_kept(inbox: Inbox, make_smtp: MakeSmtp, pipelining: bool) -> None:
    inbox.pipelining = pipelining
    smtp = make_smtp(connections=3)
    for _ in range(4):
        await asyncio.gather(*(smtp.send(f"u{number}@example.com", MESSAGE, 1) for number in range(10)))
    assert len(inbox.mails) == 40
    assert 1 <= inbox.connections <= 3


@pytest.mark.parametrize("pipelining", [True, False])
async def test_a_refusal_touches_no_other_mail(inbox: Inbox, make_smtp: MakeSmtp, pipelining: bool) -> None:
    inbox.pipelining = pipelining
    smtp = make_smtp(connections=1)
    assert await smtp.send("gone@example.com", MESSAGE, 1) == MailRejected(550, "smtp_550")
    with pytest.raises(RetryLater) as later:
        await smtp.send("later@example.com", MESSAGE, 2)
    assert (later.value.code, later.value.seconds) == ("smtp_451", 60)
    assert await smtp.send("asha@example.com", MESSAGE, 1) == MailSent(250)
    assert (len(inbox.mails), inbox.connections) == (1, 1)


async def test_temporary_refusals_end_some_day(inbox: Inbox, make_smtp: MakeSmtp) -> None:
    assert await make_smtp().send("later@example.com", MESSAGE, ATTEMPTS_MAX) == MailRejected(
        451, "smtp_451_for_too_long"
    )


async def test_content_may_be_refused(inbox: Inbox, make_smtp: MakeSmtp) -> None:
    inbox.content_replies = ["554 looks like spam", "452 disk full"]
    smtp = make_smtp(connections=1)
    assert await smtp.send("asha@example.com", MESSAGE, 1) == MailRejected(554, "smtp_554")
    with pytest.raises(RetryLater):
        await smtp.send("asha@example.com", MESSAGE, 1)
    assert await smtp.send("asha@example.com", MESSAGE, 1) == MailSent(250)
    assert inbox.connections == 1


async def test_a_refused_sender_is_ours_to_repair(inbox: Inbox, make_smtp: MakeSmtp) -> None:
    inbox.sender_replies = ["550 sender not allowed", "530 authentication required"]
    smtp = make_smtp(connections=1)
    for code in ("smtp_550", "smtp_530"):
        with pytest.raises(RetryLater) as later:
            await smtp.send("asha@example.com", MESSAGE, 1)
        assert later.value.code == code
    assert await smtp.send("asha@example.com", MESSAGE, 1) == MailSent(250)


@pytest.mark.parametrize("reply", ["drop", "accept and drop"])
async def test_a_connection_lost_after_the_content_is_unknown(inbox: Inbox, make_smtp: MakeSmtp, reply: str) -> None:
    """The server may have accepted it or not: both look the same from here, so it goes out again."""
    inbox.content_replies = [reply]
    smtp = make_smtp(connections=1)
    with pytest.raises(MailConnectionLost):
        await smtp.send("asha@example.com", MESSAGE, 1)
    assert await smtp.send("asha@example.com", MESSAGE, 2) == MailSent(250)
    assert inbox.connections == 2
    assert {mail["message-id"] for mail in inbox.mails} == {"<1@x>"}


async def test_a_connection_that_was_closed_meanwhile_costs_nothing(inbox: Inbox, make_smtp: MakeSmtp) -> None:
    smtp = make_smtp(connections=1)
    await smtp.send("asha@example.com", MESSAGE, 1)
    inbox.sender_replies = ["421 closing"]
    assert await smtp.send("asha@example.com", MESSAGE, 1) == MailSent(250)
    assert (len(inbox.mails), inbox.connections) == (2, 2)


async def test_a_server_that_stops_answering_is_given_up(
    inbox: Inbox, make_smtp: MakeSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await reader.readline()
        writer.write(b"250 fine\r\n")
        await reader.read()
        writer.close()

    monkeypatch.setattr(module, "REPLY_SECONDS_MAX", 0.2)
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    smtp = make_smtp(port=server.sockets[0].getsockname()[1])
    with pytest.raises(MailConnectionLost):
        await smtp.send("asha@example.com", MESSAGE, 1)
    server.close()


async def test_an_absent_server_is_tried_rarely(make_smtp: MakeSmtp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.2)
    smtp = make_smtp(port=free_port())
    started = asyncio.get_running_loop().time()
    for _ in range(3):
        with pytest.raises(MailServerUnreachable):
            await smtp.send("asha@example.com", MESSAGE, 1)
    assert asyncio.get_running_loop().time() - started >= 0.4


async def test_required_tls_is_not_skipped(inbox: Inbox, make_smtp: MakeSmtp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0)
    with pytest.raises(MailServerUnreachable):
        await make_smtp(tls="starttls").send("asha@example.com", MESSAGE, 1)
    assert inbox.mails == []
