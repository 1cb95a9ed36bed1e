"""API keys: what a merchant decides about one, and how long it is valid.

Source: issue 16, "API keys"; ADR 0068. A key that is revoked or has expired never becomes valid again.
"""

import ipaddress
import re
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final, Literal
from urllib.parse import urlsplit
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from common.api_keys import Environment, Kind
from common.context import Context
from common.errors import RequestInvalid, RightsOutdated
from common.permissions import TABLE
from identity.domain.access import Act
from identity.domain.concealed import Concealed
from identity.domain.errors import ApiKeyNotFound

# Valid keys of a merchant; more than this is a key for each customer, which they are not for.
KEYS_MAX: Final = 100
NAME_LENGTH_MAX: Final = 120
ORIGINS_MAX: Final = 50
NETWORKS_MAX: Final = 50
# How long the old key may go on beside the one that replaces it.
OVERLAP_MAX: Final = timedelta(days=7)
LIFE_MAX: Final = timedelta(days=3_660)

_host = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\]", re.ASCII).fullmatch


class Limits(Struct, frozen=True):
    """What the holder of a key may not do. *permissions* None: everything that the kind may.

    *origins* (scheme, host and port of pages) are of publishable keys, *networks* (CIDR) of secret ones.
    """

    permissions: frozenset[str] | None = None
    origins: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    expires_at: datetime | None = None


class ApiKey(Struct, frozen=True):
    """A key as it is stored. *prefix* and *last_four* are what may be shown of its text."""

    api_key_id: UUID
    merchant_id: str
    kind: Kind
    name: str
    prefix: str
    last_four: str
    key_hash: bytes
    limits: Limits
    # A date of common.api_versions.
    api_version: str
    created_by: str
    created_at: datetime
    revoked_at: datetime | None = None
    revoked_because: str | None = None
    last_used_at: datetime | None = None
    # The key that it replaces.
    replaces: UUID | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether it opens anything at *now*."""
        return self.revoked_at is None and (self.limits.expires_at is None or now < self.limits.expires_at)

    def status(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """What it is called at *now*."""
        return "active" if self.is_valid(now) else "expired" if self.revoked_at is None else "revoked"


class IssuedKey(Concealed, frozen=True):
    """A key with its text, which is shown once and stored nowhere."""

    key: ApiKey
    text: str


class NewKey(Struct, frozen=True):
    """A key that *actor* wants for the merchant. *act* is what they need the right to; None for operators, here and
    below.
    """

    merchant_id: str
    kind: Kind
    name: str
    limits: Limits
    actor: str
    origin: Context
    act: Act | None = None


class KeyChange(Struct, frozen=True):
    """What is None stays. Expiry can be set and moved, not taken away by a change of something else."""

    merchant_id: str
    api_key_id: UUID
    name: str | None
    permissions: frozenset[str] | None
    origins: tuple[str, ...] | None
    networks: tuple[str, ...] | None
    expires_at: datetime | None
    actor: str
    origin: Context
    act: Act | None = None


class Rotation(Struct, frozen=True):
    """A key is replaced by a fresh one, and ends *overlap* later."""

    merchant_id: str
    api_key_id: UUID
    overlap: timedelta
    actor: str
    origin: Context
    act: Act | None = None


class KeyRevocation(Struct, frozen=True):
    """A key that is to end at once. *merchant_id* empty: whoever's it is, for operators."""

    merchant_id: str
    api_key_id: UUID
    because: str
    actor: str
    origin: Context
    act: Act | None = None


def act_refusal(merchant_id: str, permission: str, key: ApiKey | None, now: datetime) -> RightsOutdated | None:
    """Why *key*, as it is now, may not do what needs *permission* for its merchant; None when it may."""
    if key is None or key.merchant_id != merchant_id or not key.is_valid(now):
        return RightsOutdated("the API key has ended")
    if permission not in permissions_of(key):
        return RightsOutdated("the API key does not allow this any more")
    return None


def permissions_of(key: ApiKey) -> frozenset[str]:
    """What the key may do: what its kind may, and no more than what it is restricted to."""
    of_kind = TABLE.of_key_kind(key.kind)
    return of_kind if key.limits.permissions is None else of_kind & key.limits.permissions


def of_merchant(key: ApiKey | None, merchant_id: str) -> ApiKey:
    """*key*. Raises ApiKeyNotFound when there is none, or it is another merchant's."""
    if key is None or key.merchant_id != merchant_id:
        raise ApiKeyNotFound("there is no such key")
    return key


def checked_name(name: str) -> str:
    """*name* without blanks around it. Raises RequestInvalid."""
    name = name.strip()
    if not 1 <= len(name) <= NAME_LENGTH_MAX or not name.isprintable():
        raise RequestInvalid("some fields are wrong", name=f"has 1 to {NAME_LENGTH_MAX} printable characters")
    return name


def checked_limits(
    kind: Kind, environment: Environment, limits: Limits, allowed: Collection[str], now: datetime
) -> Limits:
    """*limits* as they are stored. *allowed*: the permissions that keys of this kind may have at all.

    Raises RequestInvalid with every field that is wrong.
    """
    problems: dict[str, str] = {}
    if limits.permissions is not None and not limits.permissions <= frozenset(allowed):
        problems["permissions"] = "names one that keys of this kind never have"
    origins = _checked_origins(kind, environment, limits.origins, problems)
    networks = _checked_networks(kind, limits.networks, problems)
    if limits.expires_at is not None and not now < limits.expires_at <= now + LIFE_MAX:
        problems["expiresAt"] = f"lies in the future, within {LIFE_MAX.days} days"
    _refuse(problems)
    return Limits(limits.permissions, origins, networks, limits.expires_at)


def changed(key: ApiKey, change: KeyChange) -> tuple[str, Limits]:
    """The name and the limits that *change* asks for, unchecked."""
    limits = key.limits
    return key.name if change.name is None else change.name, Limits(
        permissions=limits.permissions if change.permissions is None else change.permissions,
        origins=limits.origins if change.origins is None else change.origins,
        networks=limits.networks if change.networks is None else change.networks,
        expires_at=limits.expires_at if change.expires_at is None else change.expires_at,
    )


def retired(key: ApiKey, overlap: timedelta, now: datetime) -> ApiKey:
    """*key*, which ends *overlap* from now; sooner when it expires sooner. Raises RequestInvalid."""
    if not timedelta(0) <= overlap <= OVERLAP_MAX:
        raise RequestInvalid("some fields are wrong", overlapHours=f"0 to {OVERLAP_MAX // timedelta(hours=1)}")
    ends_at = now + overlap
    if key.limits.expires_at is not None:
        ends_at = min(ends_at, key.limits.expires_at)
    return replace(key, limits=replace(key.limits, expires_at=ends_at))


def expiry_of_successor(key: ApiKey, now: datetime) -> datetime | None:
    """When the key that replaces *key* expires: it lives as long as *key* was meant to."""
    return None if key.limits.expires_at is None else now + (key.limits.expires_at - key.created_at)


def revoked(key: ApiKey, because: str, now: datetime) -> ApiKey:
    """*key* as it is from now on; one that was revoked before stays as it is."""
    return key if key.revoked_at is not None else replace(key, revoked_at=now, revoked_because=because)


def _checked_origins(
    kind: Kind, environment: Environment, origins: Collection[str], problems: dict[str, str]
) -> tuple[str, ...]:
    if kind != "publishable":
        if origins:
            problems["origins"] = "are of publishable keys only"
        return ()
    if not 1 <= len(origins) <= ORIGINS_MAX:
        problems["origins"] = f"a publishable key has 1 to {ORIGINS_MAX}"
        return ()
    checked = {_origin(origin, environment) for origin in origins}
    if None in checked:
        scheme = "https" if environment == "live" else "http or https"
        problems["origins"] = f"each is scheme ({scheme}), host and port alone, for example https://shop.example.com"
    return tuple(sorted(origin for origin in checked if origin is not None))


def _origin(text: str, environment: Environment) -> str | None:
    """As browsers send it in Origin; None when it is none."""
    try:
        parts = urlsplit(text.strip().lower())
        port = parts.port
    except ValueError:
        return None
    schemes = ("https",) if environment == "live" else ("https", "http")
    host = parts.netloc.rpartition(":")[0] if port is not None else parts.netloc
    if parts.scheme not in schemes or parts.path not in ("", "/") or parts.query or parts.fragment or not _host(host):
        return None
    default = {"https": 443, "http": 80}[parts.scheme]
    return f"{parts.scheme}://{host}" + ("" if port in (None, default) else f":{port}")


def _checked_networks(kind: Kind, networks: Collection[str], problems: dict[str, str]) -> tuple[str, ...]:
    if kind != "secret":
        if networks:
            problems["networks"] = "are of secret keys only"
        return ()
    try:
        parsed = {ipaddress.ip_network(network.strip()) for network in networks}
    except ValueError:
        problems["networks"] = "each is an address or a network, for example 203.0.113.0/24"
        return ()
    if len(parsed) > NETWORKS_MAX:
        problems["networks"] = f"at most {NETWORKS_MAX}"
    return tuple(sorted(map(str, parsed)))


def _refuse(problems: Mapping[str, str]) -> None:
    if problems:
        raise RequestInvalid("some fields are wrong", **problems)
