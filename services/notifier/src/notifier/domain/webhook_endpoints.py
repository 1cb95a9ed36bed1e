"""Endpoints: where a merchant's server gets webhooks, which events it wants, and when it is given up."""

import base64
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from common.errors import Conflict, InvalidArgument, NotFound, ResourceExhausted
from notifier.domain.webhook_events import EVENT_TYPES

ENDPOINTS_MAX: Final = 16
URL_CHARACTERS_MAX: Final = 2_048
HEADERS_MAX: Final = 16
HEADER_CHARACTERS_MAX: Final = 1_024
# How long an endpoint may fail without one success before it is given up.
DISABLED_AFTER: Final = timedelta(days=5)
# How long a secret verifies beside the one that replaced it.
OVERLAP_MAX: Final = timedelta(days=7)
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - a prefix
SECRET_BYTES: Final = 32
# The current one and those that it replaces: each signs every delivery.
SECRETS_MAX: Final = 3

_pattern = re.compile(r"\*|[a-z]+(?:\.[a-z]+)*(?:\.\*)?").fullmatch
_header_name = re.compile(r"[A-Za-z0-9-]{1,64}").fullmatch
_header_value = re.compile(r"[\x20-\x7e]*").fullmatch
# What belongs to the message or the connection, and what we write ourselves.
_RESERVED_HEADERS: Final = frozenset({"host", "connection", "user-agent", "cookie", "expect", "upgrade", "te"})
_RESERVED_PREFIXES: Final = ("content-", "webhook-", "x-webhook-", "transfer-", "proxy-", "sec-")


class WebhookEndpointNotFound(NotFound):
    """The merchant has no such endpoint."""

    fix = "List the endpoints for their ids."


class WebhookEndpointInvalid(InvalidArgument):
    """The endpoint's address, events or headers are not usable; the fields say which."""

    fix = "Correct the fields that are named. Addresses are https in production and lead to public hosts."


class WebhookEndpointsTooMany(ResourceExhausted):
    """The merchant has as many endpoints as it may have."""

    fix = "Delete an endpoint that is not used any more."


class WebhookEndpointDisabled(Conflict):
    """The endpoint is disabled: nothing is sent to it."""

    fix = "Enable the endpoint, then send again."


class EndpointStatus(StrEnum):
    ENABLED = "ENABLED"
    DISABLED = "DISABLED"
    # Its deliveries stay readable.
    DELETED = "DELETED"


class DisabledReason(StrEnum):
    """Why nothing is sent to an endpoint."""

    MERCHANT = "merchant"
    # It answered 410: the receiver wants nothing more.
    GONE = "gone"
    FAILING = "failing"


class WebhookSecret(Struct, frozen=True):
    """What deliveries are signed with, until *ends_at* where another has replaced it."""

    value: str
    ends_at: datetime | None = None

    def __repr__(self) -> str:
        """Without the secret, so that no log line can show it."""
        return f"WebhookSecret(ends_at={self.ends_at})"


class Endpoint(Struct, frozen=True, kw_only=True):
    """One address of a merchant (environment)."""

    # wep_…
    id: UUID
    merchant_id: str
    url: str
    description: str = ""
    # Patterns such as payment.*; none stands for all events.
    events: tuple[str, ...] = ()
    # Sent along with each delivery.
    headers: Mapping[str, str] = {}
    # The current one first.
    secrets: tuple[WebhookSecret, ...]
    status: EndpointStatus = EndpointStatus.ENABLED
    disabled_reason: DisabledReason | None = None
    # Since when nothing has succeeded; None while the last delivery did.
    failing_since: datetime | None = None
    created_by: str = ""
    created_at: datetime

    @property
    def is_enabled(self) -> bool:
        return self.status is EndpointStatus.ENABLED

    def wants(self, event_type: str) -> bool:
        return not self.events or any(_matches(pattern, event_type) for pattern in self.events)


class UrlRules(Struct, frozen=True):
    """What addresses may look like. Where they lead is checked when a connection is made (common.destinations)."""

    allows_http: bool


def checked_url(url: str, rules: UrlRules) -> str:
    """*url* as it will be called. Raises WebhookEndpointInvalid."""
    problem = _url_problem(url, rules)
    if problem:
        raise WebhookEndpointInvalid("the address cannot be called", url=problem)
    return url


def _url_problem(url: str, rules: UrlRules) -> str:
    if len(url) > URL_CHARACTERS_MAX or not url.isascii() or any(mark in url for mark in " \t\r\n\\#\0"):
        return f"must be an ASCII URL of at most {URL_CHARACTERS_MAX} characters, without blanks, backslash or fragment"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme != "https" and not (parts.scheme == "http" and rules.allows_http):
        return "must begin with https://"
    if not parts.hostname or "@" in parts.netloc:
        return "must name a host, without user and password"
    return "has no such port" if port == 0 else ""


def checked_events(patterns: Sequence[str]) -> tuple[str, ...]:
    """The patterns, sorted. Raises WebhookEndpointInvalid for one that matches no event there is."""
    for pattern in patterns:
        if not _pattern(pattern) or not any(_matches(pattern, each) for each in EVENT_TYPES):
            raise WebhookEndpointInvalid("there is no such event", events=f"{pattern[:64]!r} matches no event")
    return () if "*" in patterns else tuple(sorted(set(patterns)))


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Raises WebhookEndpointInvalid."""
    if len(headers) > HEADERS_MAX:
        raise WebhookEndpointInvalid("too many headers", headers=f"at most {HEADERS_MAX}")
    for name, value in headers.items():
        lower = name.lower()
        if not _header_name(name) or lower in _RESERVED_HEADERS or lower.startswith(_RESERVED_PREFIXES):
            raise WebhookEndpointInvalid("a header cannot be sent", headers=f"{name[:64]!r} is reserved or no name")
        if len(value) > HEADER_CHARACTERS_MAX or not _header_value(value):
            raise WebhookEndpointInvalid("a header cannot be sent", headers=f"the value of {name} is not printable")
    return dict(headers)


def _matches(pattern: str, event_type: str) -> bool:
    if pattern == "*" or pattern == event_type:
        return True
    return pattern.endswith(".*") and event_type.startswith(pattern[:-1])


def secret_of(random: bytes) -> WebhookSecret:
    """`whsec_` and the standard base64 of SECRET_BYTES *random* bytes, as Standard Webhooks asks."""
    return WebhookSecret(SECRET_PREFIX + base64.b64encode(random).decode())


def rotated(endpoint: Endpoint, secret: WebhookSecret, overlap: timedelta, now: datetime) -> Endpoint:
    """*secret* signs from now on; what signed before signs beside it until the overlap is over, at most two of them."""
    ends_at = now + min(overlap, OVERLAP_MAX)
    before = [each for each in endpoint.secrets if each.ends_at is None or each.ends_at > now]
    kept = [replace(each, ends_at=min(each.ends_at or ends_at, ends_at)) for each in before]
    return replace(endpoint, secrets=(secret, *kept[: SECRETS_MAX - 1]) if overlap else (secret,))


def current_secrets(endpoint: Endpoint, now: datetime) -> list[str]:
    return [each.value for each in endpoint.secrets if each.ends_at is None or each.ends_at > now]


def enabled(endpoint: Endpoint) -> Endpoint:
    """Sending begins again; what it failed at before is forgotten."""
    return replace(endpoint, status=EndpointStatus.ENABLED, disabled_reason=None, failing_since=None)


def disabled(endpoint: Endpoint, reason: DisabledReason) -> Endpoint:
    return replace(endpoint, status=EndpointStatus.DISABLED, disabled_reason=reason)


def after_deliveries(endpoint: Endpoint, outcomes: Collection[bool], *, is_gone: bool, now: datetime) -> Endpoint:
    """The endpoint after deliveries whose *outcomes* are True for a success."""
    if not endpoint.is_enabled or not outcomes:
        return endpoint
    if is_gone:
        return disabled(endpoint, DisabledReason.GONE)
    if any(outcomes):
        return replace(endpoint, failing_since=None) if endpoint.failing_since else endpoint
    if endpoint.failing_since is None:
        return replace(endpoint, failing_since=now)
    if now - endpoint.failing_since >= DISABLED_AFTER:
        return disabled(endpoint, DisabledReason.FAILING)
    return endpoint
