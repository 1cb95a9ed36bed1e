import asyncio
import smtplib
from collections.abc import AsyncIterator
from email.message import EmailMessage

import httpx
import pytest

from ops.mail_sink import KEPT_MAX, Inbox, pages
from ops.smtp import Conversation


def mail(subject: str = "Payment received", text: str = "Thank you.", to: str = "member@commdesk.test") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "billing@commdesk.test", to, subject
    message.set_content(text)
    return message


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
async def port(inbox: Inbox) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Conversation(inbox.add, mail_bytes_max=100_000), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def send(port: int, *messages: EmailMessage) -> None:
    def talk() -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
            for message in messages:
                client.send_message(message)

    await asyncio.to_thread(talk)


async def raw_talk(port: int, *chunks: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for chunk in chunks:
        writer.write(chunk)
        await writer.drain()
        await asyncio.sleep(0.02)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer


async def test_mails_arrive_as_they_were_sent(inbox: Inbox, port: int) -> None:
    dotted = mail(subject="Dots", text=".\n..two\n.one\nüber\n")
    await send(port, mail(), dotted)
    newest, first = inbox.find()
    assert newest.text.replace("\r\n", "\n") == ".\n..two\n.one\nüber\n"
    assert (first.subject, first.recipients) == ("Payment received", ("member@commdesk.test",))


async def test_a_mail_in_pieces_is_one_mail(inbox: Inbox, port: int) -> None:
    start = b"EHLO x\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\n"
    answer = await raw_talk(port, start, b"Subject: pieces\r\n\r\nbody\r", b"\n.", b"\r\nQU", b"IT\r\n")
    assert answer.rstrip().endswith(b"221 bye")
    [only] = inbox.find()
    assert (only.subject, only.text) == ("pieces", "body\r\n")


async def test_an_empty_mail_is_a_mail(inbox: Inbox, port: int) -> None:
    await raw_talk(port, b"EHLO x\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\n.\r\nQUIT\r\n")
    assert inbox.total == 1


async def test_too_large_is_refused_and_the_next_mail_taken(inbox: Inbox, port: int) -> None:
    with pytest.raises(smtplib.SMTPDataError):
        await send(port, mail(text="long line\n" * 20_000))
    await send(port, mail())
    assert inbox.total == 1


async def test_commands_out_of_order_are_refused(inbox: Inbox, port: int) -> None:
    answer = await raw_talk(port, b"DATA\r\nRCPT TO:<b@x.test>\r\nNONSENSE\r\nQUIT\r\n")
    assert [line[:3] for line in answer.splitlines()] == [b"220", b"503", b"501", b"502", b"221"]
    assert inbox.total == 0


def test_the_inbox_keeps_the_newest_and_counts_all(inbox: Inbox) -> None:
    for number in range(KEPT_MAX + 10):
        inbox.add("a@x.test", (f"{number}@x.test",), b"Subject: x\r\n\r\n")
    assert inbox.total == KEPT_MAX + 10
    assert len(list(inbox.find())) == KEPT_MAX
    assert inbox.get(1) is None


async def test_the_inbox_can_be_read_searched_and_emptied(inbox: Inbox) -> None:
    inbox.add("a@x.test", ("One@x.test",), mail(subject="Invoice INV-1").as_bytes())
    inbox.add("a@x.test", ("two@x.test",), mail(subject="<b>Refund</b>", text="₹150 is on its way").as_bytes())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(pages(inbox)), base_url="http://inbox") as client:
        assert [found["to"] for found in (await client.get("/messages?to=one@")).json()] == [["One@x.test"]]
        assert [found["id"] for found in (await client.get("/messages?contains=₹150&subject=refund")).json()] == [2]
        assert (await client.get("/messages?limit=1")).json()[0]["id"] == 2
        assert "INV-1" in (await client.get("/")).text
        assert "<b>Refund" not in (await client.get("/")).text
        assert "on its way" in (await client.get("/messages/2")).text
        assert (await client.get("/messages/9")).status_code == 404
        assert (await client.delete("/messages")).status_code == 204
        assert (await client.get("/count")).json() == {"count": 0}
