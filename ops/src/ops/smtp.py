"""The receiving side of SMTP (RFC 5321), as much as a sink needs.

Not aiosmtpd: that reads a mail line by line, 1.2 ms for one with an invoice, which on two cores shared with the fleet
would be half of what a whole payment may cost. Here (0.15 ms) a mail's bytes are appended until its end is in sight.
"""

import asyncio
import re
from collections.abc import Callable
from typing import cast

LINE_BYTES_MAX = 4096
END_OF_MAIL = b"\r\n.\r\n"
ADDRESS = re.compile(rb"<([^<>\s]*)>")

Take = Callable[[str, tuple[str, ...], bytes], None]


class Conversation(asyncio.Protocol):
    """One client's connection: answers its commands and hands each complete mail to `take(sender, recipients, raw)`."""

    def __init__(self, take: Take, *, mail_bytes_max: int) -> None:
        self._take = take
        self._mail_bytes_max = mail_bytes_max
        self._buffer = bytearray()
        self._in_mail = False
        self._too_large = False
        self._searched = 0  # bytes of the buffer that hold no end of mail
        self._sender: str | None = None
        self._recipients: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._answer(b"220 localhost ESMTP CommDesk mail sink")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while not self._transport.is_closing() and (self._read_mail() if self._in_mail else self._read_command()):
            pass

    def _read_mail(self) -> bool:
        """Finish the mail in the buffer; false when its end has not come yet."""
        end = self._buffer.find(END_OF_MAIL, max(0, self._searched - len(END_OF_MAIL)))
        if end < 0:
            if len(self._buffer) > self._mail_bytes_max:
                self._too_large = True
                del self._buffer[: -len(END_OF_MAIL)]  # go on reading to its end, keep nothing
            self._searched = len(self._buffer)
            return False
        # The buffer starts with the line end that closed the DATA command: an empty mail is match like any other.
        raw = bytes(self._buffer[: end + 2]).replace(b"\r\n..", b"\r\n.")[2:]
        del self._buffer[: end + len(END_OF_MAIL)]
        if self._too_large:
            self._answer(b"552 mail is too large")
        else:
            self._take(self._sender or "", tuple(self._recipients), raw)
            self._answer(b"250 taken")
        self._in_mail = False
        self._forget_mail()
        return True

    def _read_command(self) -> bool:
        """Answer the next command in the buffer; false when there is no complete one."""
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > LINE_BYTES_MAX:
                self._answer(b"500 line is too long")
                self._transport.close()
            return False
        line = bytes(self._buffer[:end]).strip()
        verb = line[:4].upper()
        del self._buffer[: end + 1]
        if verb == b"DATA" and self._recipients:
            self._in_mail, self._too_large, self._searched = True, False, 0
            self._buffer[:0] = b"\r\n"
            self._answer(b"354 end with a line holding a dot")
        else:
            self._answer(self._reply(verb, line))
        return True

    def _reply(self, verb: bytes, line: bytes) -> bytes:
        match verb:
            case b"EHLO":
                self._forget_mail()
                return (
                    b"250-localhost\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE %d"
                    % self._mail_bytes_max
                )
            case b"HELO" | b"RSET":
                self._forget_mail()
                return b"250 localhost"
            case b"MAIL" if match := ADDRESS.search(line):
                self._forget_mail()
                self._sender = match[1].decode(errors="replace")
                return b"250 sender taken"
            case b"RCPT" if self._sender is not None and (match := ADDRESS.search(line)):
                self._recipients.append(match[1].decode(errors="replace"))
                return b"250 recipient taken"
            case b"MAIL" | b"RCPT":
                return b"501 an address in angle brackets, please, and the sender first"
            case b"DATA":
                return b"503 recipients first"
            case b"NOOP":
                return b"250 fine"
            case b"QUIT":
                asyncio.get_running_loop().call_soon(self._transport.close)
                return b"221 bye"
            case _:
                return b"502 this sink does not know that command"

    def _forget_mail(self) -> None:
        self._sender = None
        self._recipients = []

    def _answer(self, text: bytes) -> None:
        self._transport.write(text + b"\r\n")
