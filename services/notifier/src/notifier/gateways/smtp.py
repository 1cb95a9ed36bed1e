"""SMTP over a small pool of connections.

aiosmtplib opens them (TLS, login, EHLO). The mails themselves are pipelined (RFC 2920), which it does not do: sender,
recipient and DATA in one write, a sixth of the CPU and half the round trips. A server that does not announce
PIPELINING gets the same commands one by one.
"""

import asyncio
from contextlib import suppress
from typing import Final, cast

import aiosmtplib
import msgspec
from loguru import logger

from common.errors import Unavailable
from common.intents import RetryLater
from notifier.domain import smtp_replies
from notifier.domain.smtp_replies import ATTEMPTS_MAX, MailRejected, MailSent, ReplyMeaning, Stage

CONNECT_SECONDS_MAX: Final = 10.0
REPLY_SECONDS_MAX: Final = 30.0
# For a free connection: together with the other limits less than the lease of an intent, or a mail would go out twice.
WAIT_SECONDS_MAX: Final = 40.0
# Servers close what is idle, and what has sent much.
IDLE_SECONDS_MAX: Final = 20.0
MAILS_PER_CONNECTION_MAX: Final = 500
# After a failed connection attempt, the next one waits.
PAUSE_SECONDS: Final = 2.0
_STAGES: Final = (Stage.SENDER, Stage.RECIPIENT, Stage.DATA)
# The server is about to close the connection.
_CLOSING: Final = 421
_END: Final = b".\r\n"
_REPLY_BYTES_MAX: Final = 65_536


def _seconds() -> float:
    """The event loop's own clock, by which it also waits."""
    return asyncio.get_running_loop().time()


class MailServerUnreachable(Unavailable):
    """No connection, no TLS or no login."""

    fix = "Check SMTP_HOST, SMTP_PORT, the login and the server; mails wait and go out once it is reachable."


class MailConnectionLost(Unavailable):
    """The connection was lost, or the server stopped answering, in the middle of a mail: it may have been accepted."""

    fix = "Nothing to do: the mail goes out again with the same Message-ID."


class _Session(asyncio.Protocol):
    """Reads reply codes off a connection that has been opened already."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._buffer = b""
        self._codes: list[int] = []
        self._replies_due = 0
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
        if self._waiter is not None and len(self._codes) >= self._replies_due:
            waiter, self._waiter = self._waiter, None
            codes, self._codes = self._codes, []
            if not waiter.done():
                waiter.set_result(codes)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(MailConnectionLost("the connection was lost"))

    async def exchange(self, data: bytes, replies: int) -> list[int]:
        """Write *data*, wait for *replies* replies. Raises MailConnectionLost."""
        if not self.is_open or self._codes:
            # A reply that no command waits for (421) means that the server is closing the connection.
            raise MailConnectionLost("the connection is closed")
        self._replies_due = replies
        waiter: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._waiter = waiter
        self._transport.write(data)
        try:
            async with asyncio.timeout(REPLY_SECONDS_MAX):
                return await waiter
        except TimeoutError:
            self.close()
            raise MailConnectionLost("the server stopped answering") from None

    def close(self) -> None:
        self.is_open = False
        self._transport.abort()

    def quit(self) -> None:
        """Send QUIT without waiting for the reply."""
        if self.is_open:
            self.is_open = False
            self._transport.write(b"QUIT\r\n")
            self._transport.close()


class Connection(msgspec.Struct):
    """A connection of the pool. Mutable: it counts its mails."""

    session: _Session
    pipelines: bool
    last_used: float
    mails: int = 0
    # Of the current mail: from here on the server may have accepted it.
    content_sent: bool = False

    @property
    def is_fresh(self) -> bool:
        return (
            self.session.is_open
            and self.mails < MAILS_PER_CONNECTION_MAX
            and _seconds() - self.last_used < IDLE_SECONDS_MAX
        )

    async def deliver(self, sender: str, recipient: str, message: bytes) -> tuple[Stage, int]:
        """One mail: the reply that decided, and the command it answers. Raises MailConnectionLost."""
        self.mails += 1
        self.content_sent = False
        commands = (f"MAIL FROM:<{sender}>\r\n".encode(), f"RCPT TO:<{recipient}>\r\n".encode(), b"DATA\r\n")
        codes = await self._open_mail(commands)
        for stage, code in zip(_STAGES, codes, strict=False):
            if smtp_replies.meaning(stage, code) is not ReplyMeaning.ACCEPTED:
                await self._reset(codes)
                return stage, code
        self.content_sent = True
        [code] = await self.session.exchange(stuffed(message) + _END, 1)
        return Stage.CONTENT, code

    async def _open_mail(self, commands: tuple[bytes, ...]) -> list[int]:
        if self.pipelines:
            return await self.session.exchange(b"".join(commands), len(commands))
        codes: list[int] = []
        for command in commands:
            codes += await self.session.exchange(command, 1)
            if codes[-1] >= 400:
                break
        return codes

    async def _reset(self, codes: list[int]) -> None:
        """End the mail without sending it; a server may have said 354 although it refused sender or recipient."""
        if _CLOSING in codes:
            self.session.close()
            return
        if len(codes) == len(_STAGES) and codes[-1] == 354:
            await self.session.exchange(_END, 1)
        await self.session.exchange(b"RSET\r\n", 1)


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
        self._idle: list[Connection] = []
        self._free = asyncio.Semaphore(connections)
        self._try_again_at = 0.0

    async def send(self, recipient: str, message: bytes, attempt: int) -> MailSent | MailRejected:
        """See MailGateway. A mail that may have been accepted raises MailConnectionLost and is sent again."""
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                await self._free.acquire()
        except TimeoutError:
            raise RetryLater(PAUSE_SECONDS, "smtp_busy") from None
        try:
            stage, code = await self._deliver(recipient, message)
        finally:
            self._free.release()
        match smtp_replies.meaning(stage, code):
            case ReplyMeaning.ACCEPTED:
                return MailSent(code)
            case ReplyMeaning.PERMANENT:
                return MailRejected(code, f"smtp_{code}")
            case ReplyMeaning.TEMPORARY if attempt >= ATTEMPTS_MAX:
                return MailRejected(code, f"smtp_{code}_for_too_long")
        raise RetryLater(smtp_replies.retry_seconds(attempt), f"smtp_{code}")

    async def _deliver(self, recipient: str, message: bytes) -> tuple[Stage, int]:
        """On a pooled connection, or a new one when those turn out to have been closed meanwhile."""
        while self._idle:
            pooled = self._idle.pop()
            if not pooled.is_fresh:
                pooled.session.quit()
                continue
            try:
                stage, code = await self._deliver_on(pooled, recipient, message)
            except MailConnectionLost:
                if pooled.content_sent:
                    raise
                continue
            if code != _CLOSING or pooled.content_sent:
                return stage, code
        return await self._deliver_on(await self._connect(), recipient, message)

    async def _deliver_on(self, pooled: Connection, recipient: str, message: bytes) -> tuple[Stage, int]:
        try:
            outcome = await pooled.deliver(self._sender, recipient, message)
        except BaseException:
            pooled.session.close()
            raise
        if pooled.session.is_open:
            pooled.last_used = _seconds()
            self._idle.append(pooled)
        return outcome

    async def _connect(self) -> Connection:
        await asyncio.sleep(max(self._try_again_at - _seconds(), 0))
        client = aiosmtplib.SMTP(**self._options)  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                await client.connect()
                if client.is_ehlo_or_helo_needed:
                    await client.ehlo()
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            client.close()
            self._try_again_at = _seconds() + PAUSE_SECONDS
            logger.warning("mail server unreachable: {}", type(error).__name__)
            raise MailServerUnreachable("the mail server cannot be reached") from None
        if client.transport is None:
            raise MailServerUnreachable("the connection was lost while it was opened")
        pipelines = client.supports_extension("pipelining")
        return Connection(_Session(cast(asyncio.Transport, client.transport)), pipelines, _seconds())

    async def aclose(self) -> None:
        """Send QUIT on the connections that are idle."""
        while self._idle:
            with suppress(OSError):
                self._idle.pop().session.quit()


def stuffed(message: bytes) -> bytes:
    """*message* with the dots doubled that begin a line (RFC 5321, 4.5.2), ending in a line break."""
    if message.startswith(b"."):
        message = b"." + message
    message = message.replace(b"\r\n.", b"\r\n..")
    return message if message.endswith(b"\r\n") else message + b"\r\n"
