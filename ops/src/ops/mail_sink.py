"""A mail server that delivers nothing: it takes every mail and lets people and tests read the newest ones.

SMTP on one port; on the other, HTTP: `GET /` and `GET /messages/{id}` for people, and for tests
`GET /messages?to=&subject=&contains=&limit=`, `GET /count` and `DELETE /messages`. Mails are parsed when somebody reads
them, never when they arrive.
"""

import argparse
import asyncio
import html
import itertools
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from typing import Any

import uvicorn
import uvloop
from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ops.smtp import Conversation

KEPT_MAX = 5000
KEPT_BYTES_MAX = 64 * 1024 * 1024
MAIL_BYTES_MAX = 10 * 1024 * 1024
LISTED_MAX = 1000

HARMLESS = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Mail(Struct, frozen=True, dict=True):
    """One accepted mail, as it came."""

    id: int
    sender: str
    recipients: tuple[str, ...]
    received_at: datetime
    raw: bytes

    @cached_property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=policy.default)

    @property
    def subject(self) -> str:
        return str(self.message["subject"] or "")

    @property
    def text(self) -> str:
        """The body that a reader would see: the plain part, or the HTML when there is no other."""
        return self._body("plain") or self._body("html")

    @property
    def page(self) -> str:
        """The HTML part, empty when the mail has none."""
        return self._body("html")

    @property
    def attachments(self) -> list[str]:
        return [part.get_filename() or part.get_content_type() for part in self.message.iter_attachments()]

    def _body(self, kind: str) -> str:
        part = self.message.get_body(preferencelist=(kind,))
        return str(part.get_content()) if part is not None else ""

    def described(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "from": self.sender,
            "to": list(self.recipients),
            "subject": self.subject,
            "text": self.text,
            "attachments": self.attachments,
            "received_at": self.received_at.isoformat(),
        }


class Inbox:
    """The newest mails, bounded in number and bytes, and the count of all."""

    def __init__(self) -> None:
        self.total = 0
        self._mails: deque[Mail] = deque()
        self._bytes = 0

    def add(self, sender: str, recipients: tuple[str, ...], raw: bytes) -> None:
        self.total += 1
        self._mails.append(Mail(self.total, sender, recipients, datetime.now(UTC), raw))
        self._bytes += len(raw)
        while len(self._mails) > KEPT_MAX or self._bytes > KEPT_BYTES_MAX:
            self._bytes -= len(self._mails.popleft().raw)

    def find(self, *, to: str = "", subject: str = "", contains: str = "") -> Iterator[Mail]:
        """Mails with all of these, ignoring case, newest first; the cheap question comes first."""
        to, subject, contains = to.lower(), subject.lower(), contains.lower()
        for mail in reversed(self._mails):
            if to and not any(to in recipient.lower() for recipient in mail.recipients):
                continue
            if subject and subject not in mail.subject.lower():
                continue
            if contains and contains not in f"{mail.subject}\n{mail.text}\n{mail.page}".lower():
                continue
            yield mail

    def get(self, number: int) -> Mail | None:
        return next((mail for mail in self._mails if mail.id == number), None)

    def clear(self) -> None:
        """Forget every mail and start counting anew; ids go on from there."""
        self._mails.clear()
        self._bytes = self.total = 0


def pages(inbox: Inbox) -> Starlette:
    """The HTTP side of the inbox."""

    async def messages(request: Request) -> Response:
        filters = request.query_params
        limit = min(int(filters.get("limit", "100")), LISTED_MAX)
        mails = inbox.find(
            to=filters.get("to", ""), subject=filters.get("subject", ""), contains=filters.get("contains", "")
        )
        return JSONResponse([mail.described() for mail in itertools.islice(mails, limit)])

    async def message(request: Request) -> Response:
        mail = inbox.get(request.path_params["number"])
        if mail is None:
            return PlainTextResponse("no such mail, or no longer kept\n", 404)
        if mail.page:
            # Whatever stands in a mail must not run as a page of ours.
            return HTMLResponse(mail.page, headers={"Content-Security-Policy": HARMLESS})
        return PlainTextResponse(mail.text)

    async def overview(request: Request) -> Response:
        rows = "".join(
            f"<tr><td>{mail.received_at:%H:%M:%S}<td>{html.escape(', '.join(mail.recipients))}"
            f'<td><a href="/messages/{mail.id}">{html.escape(mail.subject) or "(no subject)"}</a>'
            f"<td>{html.escape(', '.join(mail.attachments))}"
            for mail in itertools.islice(inbox.find(), 200)
        )
        return HTMLResponse(
            "<!doctype html><meta charset=utf-8><title>Inbox</title>"
            "<style>body{font:15px sans-serif;margin:2em}td{padding:.2em 1em .2em 0}</style>"
            f"<h1>Inbox</h1><p>{inbox.total} mails taken, the newest first.<table>{rows}</table>"
        )

    async def count(request: Request) -> Response:
        return JSONResponse({"count": inbox.total})

    async def clear(request: Request) -> Response:
        inbox.clear()
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/", overview),
            Route("/count", count),
            Route("/messages", messages),
            Route("/messages", clear, methods=["DELETE"]),
            Route("/messages/{number:int}", message),
        ]
    )


async def serve(host: str, smtp_port: int, http_port: int) -> None:
    """Take mail and show it until stopped."""
    inbox = Inbox()
    smtp = await asyncio.get_running_loop().create_server(
        lambda: Conversation(inbox.add, mail_bytes_max=MAIL_BYTES_MAX), host, smtp_port
    )
    config = uvicorn.Config(
        pages(inbox),
        host=host,
        port=http_port,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=2,
    )
    async with smtp:
        await uvicorn.Server(config).serve()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at")
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.host, arguments.smtp_port, arguments.http_port))


if __name__ == "__main__":
    main()
