"""From a mail to the bytes that an SMTP server takes (RFC 5322, MIME).

By hand rather than with `email.message`, whose policies cost more than everything else that is done for a mail: the
headers that never change are made once, the two bodies go through binascii's quoted-printable (7 bits, short lines,
so that every server may pass it on unchanged).
"""

import base64
import binascii
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from notifier.domain import Mail, Template

_TEMPLATES: Final = Path(__file__).with_name("templates")
_ATOM: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
# An encoded word holds 75 characters, 63 of them base64: 45 bytes of text.
_WORD_BYTES: Final = 45


class Renderer:
    """Renders mails of one sender. Templates are compiled when it is made; an unknown value in one raises."""

    def __init__(self, *, sender_email: str, sender_name: str, support_email: str) -> None:
        environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=select_autoescape(enabled_extensions=("html.j2",)),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.globals |= {"support_email": support_email, "sender_name": sender_name}
        self._text = {each: environment.get_template(f"{each}.txt.j2").render for each in Template}
        self._html = {each: environment.get_template(f"{each}.html.j2").render for each in Template}
        self._domain = sender_email.rpartition("@")[2]
        self._from = f"From: {header_words(sender_name, quoted=True)} <{sender_email}>\r\n"
        self._fixed = "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"

    def message_id(self, mail: Mail) -> str:
        """Made of the mail's key, so that a mail that goes out twice is seen to be the same."""
        local = mail.key.replace(":", ".")
        if not _ATOM.issuperset(local) or len(local) > 200:
            local = sha256(mail.key.encode()).hexdigest()
        return f"<{local}@{self._domain}>"

    def render(self, mail: Mail, now: datetime) -> bytes:
        """The whole message with CRLF line ends, not yet dot-stuffed."""
        values = {**mail.values, "lines": mail.lines}
        text = self._text[mail.template](values)
        html = self._html[mail.template](values)
        boundary = f"=_{mail.email_id.hex}"
        head = (
            f"Date: {_date(int(now.timestamp()))}\r\n{self._from}To: {_safe(mail.recipient)}\r\n"
            f"Subject: {header_words(mail.subject)}\r\nMessage-ID: {self.message_id(mail)}\r\n{self._fixed}"
            f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n'
        )
        return b"".join(
            (head.encode("ascii"), _part(boundary, "plain", text), _part(boundary, "html", html),
             f"\r\n--{boundary}--\r\n".encode("ascii"))
        )  # fmt: skip


def _part(boundary: str, subtype: str, text: str) -> bytes:
    head = (
        f"\r\n--{boundary}\r\nContent-Type: text/{subtype}; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    )
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
    return head.encode("ascii") + binascii.b2a_qp(lines.encode())


def header_words(text: str, *, quoted: bool = False) -> str:
    """*text* as a header takes it: as it is when it is plain ASCII, in encoded words (RFC 2047) otherwise."""
    _safe(text)
    if text.isascii():
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if quoted else text
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(chunk).decode()}?=" for chunk in _chunks(text))


def _chunks(text: str) -> list[bytes]:
    """UTF-8 in pieces that fit an encoded word and cut no character."""
    whole = text.encode()
    if len(whole) <= _WORD_BYTES:
        return [whole]
    chunks, current = [], b""
    for character in text:
        encoded = character.encode()
        if len(current) + len(encoded) > _WORD_BYTES:
            chunks.append(current)
            current = b""
        current += encoded
    return [*chunks, current]


def _safe(value: str) -> str:
    """Raises ValueError for what would end a header's line: that is a bug, values are cleaned before."""
    if "\r" in value or "\n" in value or "\0" in value:
        raise ValueError("a header holds one line")
    return value


@lru_cache(maxsize=4)
def _date(unix_seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(unix_seconds, UTC))
