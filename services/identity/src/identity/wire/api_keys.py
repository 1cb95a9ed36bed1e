"""API keys on the wire: what is asked and what is shown."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from msgspec import Struct

from common import ids, pages
from common.api_keys import Kind
from common.context import Context
from common.http_server import Body
from common.pages import Page, PageQuery
from common.tokens import Caller
from identity.domain.access import Act
from identity.domain.api_keys import ApiKey, IssuedKey, KeyChange, KeyRevocation, Limits, NewKey, Rotation
from identity.wire.events import API_KEY
from identity.wire.requests import act_of

MANAGE = "api_keys.manage"


class NewKeyBody(Body, frozen=True):
    """*permissions* left out: everything that keys of this kind may. *origins* are of publishable keys, *networks* of
    secret ones.
    """

    kind: Kind
    name: str
    permissions: tuple[str, ...] | None = None
    origins: tuple[str, ...] | None = None
    networks: tuple[str, ...] | None = None
    expires_at: datetime | None = None


class KeyChangeBody(Body, frozen=True):
    """Fields that are absent stay as they are; lists replace what was there."""

    name: str | None = None
    permissions: tuple[str, ...] | None = None
    origins: tuple[str, ...] | None = None
    networks: tuple[str, ...] | None = None
    expires_at: datetime | None = None


class RotationBody(Body, frozen=True):
    """How long the old key goes on, 0 to 168 hours."""

    overlap_hours: int = 24


class ApiKeyView(Struct, frozen=True, rename="camel"):
    """A key without its text. *permissions* null: everything that its kind may. *lastUsedAt* is exact to a minute."""

    api_key_id: str
    merchant_id: str
    kind: Kind
    name: str
    prefix: str
    last_four: str
    status: Literal["active", "expired", "revoked"]
    permissions: list[str] | None
    origins: list[str]
    networks: list[str]
    api_version: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    replaces: str | None


class IssuedKeyView(Struct, frozen=True, rename="camel"):
    """A fresh key: *key* is its text, shown now and never again."""

    key: str
    api_key: ApiKeyView


def new_key(caller: Caller, body: NewKeyBody, origin: Context) -> NewKey:
    limits = Limits(
        permissions=None if body.permissions is None else frozenset(body.permissions),
        origins=body.origins or (),
        networks=body.networks or (),
        expires_at=body.expires_at,
    )
    return NewKey(caller.merchant_id, body.kind, body.name, limits, caller.user_id, origin, _act(caller))


def key_change(caller: Caller, text: str, body: KeyChangeBody, origin: Context) -> KeyChange:
    """Raises IdInvalid."""
    return KeyChange(
        merchant_id=caller.merchant_id,
        api_key_id=key_id(text),
        name=body.name,
        permissions=None if body.permissions is None else frozenset(body.permissions),
        origins=body.origins,
        networks=body.networks,
        expires_at=body.expires_at,
        actor=caller.user_id,
        origin=origin,
        act=_act(caller),
    )


def rotation(caller: Caller, text: str, body: RotationBody, origin: Context) -> Rotation:
    """Raises IdInvalid. Hours beyond every limit are as good as any other: they are refused later."""
    overlap = timedelta(hours=max(-1, min(body.overlap_hours, 10_000)))
    return Rotation(caller.merchant_id, key_id(text), overlap, caller.user_id, origin, _act(caller))


def revocation(caller: Caller, text: str, origin: Context) -> KeyRevocation:
    """Raises IdInvalid."""
    return KeyRevocation(caller.merchant_id, key_id(text), "revoked", caller.user_id, origin, _act(caller))


def _act(caller: Caller) -> Act:
    """Raises UserNotFound for a caller of another issuer."""
    return act_of(caller, MANAGE)


def key_id(text: str) -> UUID:
    """Raises IdInvalid."""
    return ids.decode(API_KEY, text)


def before(query: PageQuery) -> UUID | None:
    """Where the page begins. Raises CursorInvalid."""
    return None if query.cursor is None else pages.decode_cursor(query.cursor, UUID)[0]


def view(key: ApiKey, now: datetime) -> ApiKeyView:
    limits = key.limits
    return ApiKeyView(
        api_key_id=ids.encode(API_KEY, key.api_key_id),
        merchant_id=key.merchant_id,
        kind=key.kind,
        name=key.name,
        prefix=key.prefix,
        last_four=key.last_four,
        status=key.status(now),
        permissions=None if limits.permissions is None else sorted(limits.permissions),
        origins=list(limits.origins),
        networks=list(limits.networks),
        api_version=key.api_version,
        created_by=key.created_by,
        created_at=key.created_at,
        expires_at=limits.expires_at,
        revoked_at=key.revoked_at,
        last_used_at=key.last_used_at,
        replaces=None if key.replaces is None else ids.encode(API_KEY, key.replaces),
    )


def issued(issued: IssuedKey, now: datetime) -> IssuedKeyView:
    return IssuedKeyView(issued.text, view(issued.key, now))


def page(keys: Sequence[ApiKey], limit: int, now: datetime) -> Page[ApiKeyView]:
    return pages.page(keys, limit, lambda key: view(key, now), lambda key: pages.encode_cursor(key.api_key_id))
