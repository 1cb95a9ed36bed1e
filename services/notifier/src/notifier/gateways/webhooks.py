"""Merchants' servers: one POST, a bounded answer, no redirects, public addresses only."""

import re
import ssl
import time
from collections.abc import Mapping
from datetime import timedelta

import aiohttp

from common.destinations import DestinationForbidden
from common.texts import storable
from notifier.domain.webhook_deliveries import ANSWER_CHARACTERS_MAX, Answer, AttemptError

USER_AGENT = "CommDesk-Pay-Webhooks/1"
_seconds = re.compile(r"\d{1,6}").fullmatch


class WebhookSender:
    """Sends through *session*, which checks where it leads (common.destinations.public_session)."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """What the server answered, or why nothing came. Never raises for what a server or the network does."""
        started = time.perf_counter()
        status, error, text, retry_after = 0, None, "", None
        sent = {"Content-Type": "application/json; charset=utf-8", "User-Agent": USER_AGENT, **headers}
        try:
            async with self._session.post(url, data=body, headers=sent, allow_redirects=False) as response:
                status = response.status
                text = (await response.content.read(ANSWER_CHARACTERS_MAX)).decode("utf-8", "replace")
                retry_after = _retry_after(response.headers.get("Retry-After", ""))
            if not 200 <= status < 300:
                error = AttemptError.REDIRECT if 300 <= status < 400 else AttemptError.HTTP
        except TimeoutError:
            error = AttemptError.TIMEOUT
        except aiohttp.ClientError as failure:
            error = _error(failure)
        except (ValueError, OSError, ssl.SSLError):
            error = AttemptError.PROTOCOL
        ms = round((time.perf_counter() - started) * 1000)
        return Answer(status, error, ms, storable(text, ANSWER_CHARACTERS_MAX), retry_after)


def _error(failure: aiohttp.ClientError) -> AttemptError:
    if isinstance(failure, aiohttp.ClientConnectorError) and isinstance(failure.os_error, DestinationForbidden):
        return AttemptError.FORBIDDEN
    if isinstance(failure, aiohttp.ClientConnectorDNSError):
        return AttemptError.DNS
    if isinstance(failure, aiohttp.ClientSSLError):
        return AttemptError.TLS
    return AttemptError.CONNECT if isinstance(failure, aiohttp.ClientConnectionError) else AttemptError.PROTOCOL


def _retry_after(text: str) -> timedelta | None:
    """The header's seconds; a date in it is not asked for often enough to be read."""
    return timedelta(seconds=int(text)) if _seconds(text) else None
