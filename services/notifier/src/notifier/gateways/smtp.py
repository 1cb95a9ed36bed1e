"""SMTP over a few kept connections.

aiosmtplib opens them (TLS, login, EHLO). The mails themselves are pipelined (RFC 2920), which it does not do: sender,
recipient and DATA in one write, a sixth of the CPU and half the round trips. A server that does not announce
PIPELINING gets the same commands one by one.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, cast

import aiosmtplib
from loguru import logger

from common.errors import Unavailable
from common.intents import Later
from notifier.domain import ATTEMPTS_MAX, Refused, Sent, Stage, Verdict, later_seconds, verdict

CONNECT_SECONDS_MAX: Final = 10.0
REPLY_SECONDS_MAX: Final = 30.0
# For a free connection: together with the other limits less than the lease of an intent, or a mail would go out twice.
WAIT_SECONDS_MAX: Final = 40.0
# Servers close what is idle, and what has sent much.
IDLE_SECONDS_MAX: Final = 20.0
MAILS_PER_CONNECTION_MAX: Final = 500
# After a connection could not be made, nobody tries for so long.
PAUSE_SECONDS: Final = 2.0
_STAGES: Final = (Stage.SENDER, Stage.RECIPIENT, Stage.DATA)
# The server is about to close the connection.
_CLOSING: Final = 421
_END: Final = b".\r\n"
_REPLY_BYTES_MAX: Final = 65_536


class MailServerUnreachable(Unavailable):
    """No connection, no TLS or no login."""

    fix = "Check SMTP_HOST, SMTP_PORT, the login and the server; mails wait and go out by themselves."


class ConnectionBroke(Unavailable):
    """The connection was lost, or fell silent, in the middle of a mail: it may have been taken."""

    fix = "Nothing to do: the mail goes out again with the same Message-ID."


class _Conversation(asyncio.Protocol):
    """Reads reply codes off a connection that has been opened already."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._buffer = b""
        self._codes: list[int] = []
        self._wanted = 0
        self._waiter: asyncio.Future[list[int]] | None = None
        self.is_open = True
        transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
            if line[3:4] != b"-":
                code = line[:3]
                self._codes.append(int(code) if code.isdigit() else 0)
        if len(self._buffer) > _REPLY_BYTES_MAX:
            self.close()
        if self._waiter is not None and len(self._codes) >= self._wanted:
            waiter, self._waiter = self._waiter, None
            codes, self._codes = self._codes, []
            if not waiter.done():
                waiter.set_result(codes)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(ConnectionBroke("the connection was lost"))

    async def ask(self, data: bytes, replies: int) -> list[int]:
        """Write *data*, wait for so many replies. Raises ConnectionBroke."""
        if not self.is_open or self._codes:
            # A reply that nobody waited for (421, "bye") means that the server is done with us.
            raise ConnectionBroke("the connection was closed before")
        self._wanted = replies
        waiter: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._waiter = waiter
        self._transport.write(data)
        try:
            async with asyncio.timeout(REPLY_SECONDS_MAX):
                return await waiter
        except TimeoutError:
            self.close()
            raise ConnectionBroke("the server fell silent") from None

    def close(self) -> None:
        self.is_open = False
        self._transport.abort()

    def quit(self) -> None:
        """Say good-bye without waiting for the answer."""
        if self.is_open:
            self.is_open = False
            self._transport.write(b"QUIT\r\n")
            self._transport.close()


@dataclass(slots=True)
class _Kept:
    """A connection of the pool."""

    conversation: _Conversation
    pipelines: bool
    last_used: float
    mails: int = 0
    # Of the mail in hand: from here on the server may have taken it.
    content_sent: bool = False

    @property
    def is_fresh(self) -> bool:
        return (
            self.conversation.is_open
            and self.mails < MAILS_PER_CONNECTION_MAX
            and time.monotonic() - self.last_used < IDLE_SECONDS_MAX
        )

    async def deliver(self, sender: str, recipient: str, message: bytes) -> tuple[Stage, int]:
        """One mail: the reply that decided, and where it came. Raises ConnectionBroke."""
        self.mails += 1
        self.content_sent = False
        commands = (f"MAIL FROM:<{sender}>\r\n".encode(), f"RCPT TO:<{recipient}>\r\n".encode(), b"DATA\r\n")
        codes = await self._open_mail(commands)
        for stage, code in zip(_STAGES, codes, strict=False):
            if verdict(stage, code) is not Verdict.TAKEN:
                await self._take_back(codes)
                return stage, code
        self.content_sent = True
        [code] = await self.conversation.ask(stuffed(message) + _END, 1)
        return Stage.CONTENT, code

    async def _open_mail(self, commands: tuple[bytes, ...]) -> list[int]:
        if self.pipelines:
            return await self.conversation.ask(b"".join(commands), len(commands))
        codes: list[int] = []
        for command in commands:
            codes += await self.conversation.ask(command, 1)
            if codes[-1] >= 400:
                break
        return codes

    async def _take_back(self, codes: list[int]) -> None:
        """Leave the connection as it was before the mail; a server may have said 354 although nobody is to get it."""
        if _CLOSING in codes:
            self.conversation.close()
            return
        if len(codes) == len(_STAGES) and codes[-1] == 354:
            await self.conversation.ask(_END, 1)
        await self.conversation.ask(b"RSET\r\n", 1)


class Smtp:
    """A MailGateway over at most *connections* connections to one server."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        username: str,
        password: str,
        tls: str,
        sender: str,
        connections: int,
        ca_file: str = "",
    ) -> None:
        self._options = {
            "hostname": host,
            "port": port,
            "username": username or None,
            "password": password or None,
            "use_tls": tls == "implicit",
            "start_tls": {"auto": None, "starttls": True, "implicit": False, "none": False}[tls],
            # Who may vouch for the server; the system's authorities when nothing is named.
            "cert_bundle": ca_file or None,
            "timeout": CONNECT_SECONDS_MAX,
            # Else aiosmtplib asks the resolver for our own name, and waits for it.
            "local_hostname": sender.rpartition("@")[2],
        }
        self._sender = sender
        self._idle: list[_Kept] = []
        self._free = asyncio.Semaphore(connections)
        self._try_again_at = 0.0

    async def send(self, recipient: str, message: bytes, attempt: int) -> Sent | Refused:
        """See MailGateway. A mail that may have been taken raises ConnectionBroke and is sent again, with its id."""
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                await self._free.acquire()
        except TimeoutError:
            raise Later(PAUSE_SECONDS, "smtp_busy") from None
        try:
            stage, code = await self._deliver(recipient, message)
        finally:
            self._free.release()
        match verdict(stage, code):
            case Verdict.TAKEN:
                return Sent(code)
            case Verdict.NEVER:
                return Refused(code, f"smtp_{code}")
            case Verdict.LATER if attempt >= ATTEMPTS_MAX:
                return Refused(code, f"smtp_{code}_for_too_long")
        raise Later(later_seconds(attempt), f"smtp_{code}")

    async def _deliver(self, recipient: str, message: bytes) -> tuple[Stage, int]:
        """On a kept connection, or a new one when those turn out to have been closed meanwhile."""
        while self._idle:
            kept = self._idle.pop()
            if not kept.is_fresh:
                kept.conversation.quit()
                continue
            try:
                stage, code = await self._deliver_on(kept, recipient, message)
            except ConnectionBroke:
                if kept.content_sent:
                    raise
                continue
            if code != _CLOSING or kept.content_sent:
                return stage, code
        return await self._deliver_on(await self._connect(), recipient, message)

    async def _deliver_on(self, kept: _Kept, recipient: str, message: bytes) -> tuple[Stage, int]:
        try:
            outcome = await kept.deliver(self._sender, recipient, message)
        except BaseException:
            kept.conversation.close()
            raise
        if kept.conversation.is_open:
            kept.last_used = time.monotonic()
            self._idle.append(kept)
        return outcome

    async def _connect(self) -> _Kept:
        await asyncio.sleep(max(self._try_again_at - time.monotonic(), 0))
        client = aiosmtplib.SMTP(**self._options)  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                await client.connect()
                if client.is_ehlo_or_helo_needed:
                    await client.ehlo()
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            client.close()
            self._try_again_at = time.monotonic() + PAUSE_SECONDS
            logger.warning("mail server unreachable: {}", type(error).__name__)
            raise MailServerUnreachable("the mail server cannot be reached") from None
        if client.transport is None:
            raise MailServerUnreachable("the connection was lost while it was opened")
        pipelines = client.supports_extension("pipelining")
        return _Kept(_Conversation(cast(asyncio.Transport, client.transport)), pipelines, time.monotonic())

    async def aclose(self) -> None:
        """Say good-bye on the connections that are idle."""
        while self._idle:
            with suppress(OSError):
                self._idle.pop().conversation.quit()


def stuffed(message: bytes) -> bytes:
    """*message* with the dots doubled that begin a line (RFC 5321, 4.5.2), ending in a line break."""
    if message.startswith(b"."):
        message = b"." + message
    message = message.replace(b"\r\n.", b"\r\n..")
    return message if message.endswith(b"\r\n") else message + b"\r\n"
