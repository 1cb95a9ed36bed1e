"""Idempotency keys: a row scoped by merchant, user and route, claimed and completed in the use case's transactions.

The truth is this table; Redis is a best-effort cache at most. A key with the same request gets the same answer, byte
for byte; with another request it is refused by name; one in flight has to wait. An unresolved outcome is not stored:
the key stays claimed with its subject, and the request that comes again carries on from there.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
from msgspec import Struct

from common import keys
from common.database import Row, Tx
from common.errors import Conflict, InvalidArgument, KeyReused

KEY_LENGTH_MAX = 255
KEEP = timedelta(hours=24)
LEASE = timedelta(seconds=30)

_CLAIM = """
insert into idempotency_keys (merchant_id, user_id, route, key, fingerprint, subject, state, leased_until, expires_at)
select merchant_id, user_id, route, key, fingerprint, subject, 'STARTED', now() + cast(:lease as interval),
       now() + cast(:keep as interval)
from unnest(cast(:merchants as text[]), cast(:users as text[]), cast(:routes as text[]), cast(:keys as text[]),
            cast(:fingerprints as bytea[]), cast(:subjects as uuid[]))
     as row (merchant_id, user_id, route, key, fingerprint, subject)
order by merchant_id, user_id, route, key
on conflict (merchant_id, user_id, route, key) do update
    set fingerprint = excluded.fingerprint, subject = excluded.subject, state = 'STARTED', status = null,
        response = null, created_at = now(), leased_until = excluded.leased_until, expires_at = excluded.expires_at
    where idempotency_keys.expires_at < now()
returning merchant_id, user_id, route, key
"""
_READ = """
select k.merchant_id, k.user_id, k.route, k.key, fingerprint, subject, state, status, response,
       leased_until > now() as in_flight
from idempotency_keys k
join unnest(cast(:merchants as text[]), cast(:users as text[]), cast(:routes as text[]), cast(:keys as text[]))
     as scope (merchant_id, user_id, route, key)
  on k.merchant_id = scope.merchant_id and k.user_id = scope.user_id and k.route = scope.route and k.key = scope.key
"""
_TAKE_OVER = """
update idempotency_keys k set leased_until = now() + cast(:lease as interval)
from unnest(cast(:merchants as text[]), cast(:users as text[]), cast(:routes as text[]), cast(:keys as text[]))
     as scope (merchant_id, user_id, route, key)
where k.merchant_id = scope.merchant_id and k.user_id = scope.user_id and k.route = scope.route and k.key = scope.key
  and k.state = 'STARTED' and (k.leased_until is null or k.leased_until <= now())
returning k.merchant_id, k.user_id, k.route, k.key
"""
_COMPLETE = """
update idempotency_keys k
set state = 'COMPLETED', status = completion.status, response = completion.response, leased_until = null
from unnest(cast(:subjects as uuid[]), cast(:merchants as text[]), cast(:users as text[]), cast(:routes as text[]),
            cast(:keys as text[]), cast(:statuses as smallint[]), cast(:responses as bytea[]))
     as completion (subject, merchant_id, user_id, route, key, status, response)
where k.merchant_id = completion.merchant_id and k.user_id = completion.user_id and k.route = completion.route
  and k.key = completion.key and k.subject = completion.subject and k.state = 'STARTED'
"""
_ADOPT = """
update idempotency_keys k set subject = adoption.subject, leased_until = now()
from unnest(cast(:subjects as uuid[]), cast(:merchants as text[]), cast(:users as text[]), cast(:routes as text[]),
            cast(:keys as text[])) as adoption (subject, merchant_id, user_id, route, key)
where k.merchant_id = adoption.merchant_id and k.user_id = adoption.user_id and k.route = adoption.route
  and k.key = adoption.key and k.state = 'STARTED'
"""
_PURGE = "delete from idempotency_keys where expires_at < now() returning 1"


class IdempotencyKeyReused(KeyReused):
    """The key was used before with another request."""

    fix = "Use a new idempotency key for a new request."


class IdempotencyKeyInFlight(Conflict):
    """The first request with this key is still being worked."""

    fix = "Send the same request again after Retry-After; it gets the first one's answer."
    retry_after_seconds = 1


class IdempotencyKeyInvalid(InvalidArgument):
    """The key is empty, too long or holds characters that are not printable ASCII."""

    fix = "Use 1 to 255 printable ASCII characters, for example a UUID."


class Key(Struct, frozen=True):
    """Where a key counts. Ordered as the rows are locked."""

    merchant_id: str
    user_id: str
    route: str
    key: str


class Claim(Struct, frozen=True):
    """A request that wants to run under *key*; *subject* is the aggregate that it would create."""

    key: Key
    fingerprint: bytes
    subject: UUID


class Fresh(Struct, frozen=True):
    """Nobody used the key before: go on with the claim's own subject."""


class Resumed(Struct, frozen=True):
    """An earlier request under this key got as far as *subject* and has no final answer: carry on from there."""

    subject: UUID


class Answered(Struct, frozen=True):
    """The final answer, to be repeated byte for byte."""

    subject: UUID
    status: int
    response: bytes


class Completion(Struct, frozen=True):
    """The final answer of the request under *key*."""

    key: Key
    subject: UUID
    status: int
    response: bytes


ClaimResult = Fresh | Resumed | Answered | IdempotencyKeyReused | IdempotencyKeyInFlight


def validated(key: str) -> str:
    """The key itself. Raises IdempotencyKeyInvalid."""
    if not 1 <= len(key) <= KEY_LENGTH_MAX or not key.isascii() or not key.isprintable():
        raise IdempotencyKeyInvalid
    return key


def fingerprint(merchant_id: str, user_id: str, request: object) -> bytes:
    """What makes two requests the same: the caller, and the documented fields in a canonical order."""
    content = hashlib.sha256(msgspec.json.encode(request, order="deterministic")).digest()
    return keys.digest(merchant_id, user_id, content)


async def claim(tx: Tx, claims: Sequence[Claim]) -> list[ClaimResult]:
    """What became of each claim, in order; the keys are inserted and leased in sorted order.

    Of two claims with one key in the same call, the second is in flight (or reused, if it differs).
    """
    if not claims:
        return []
    first = {each.key: each for each in reversed(claims)}
    scopes = _columns(list(first))
    fresh = {
        _key(row)
        for row in await tx.execute(
            _CLAIM,
            **scopes,
            fingerprints=[each.fingerprint for each in first.values()],
            subjects=[each.subject for each in first.values()],
            lease=LEASE,
            keep=KEEP,
        )
    }
    existing = [key for key in first if key not in fresh]
    stored = {_key(row): row for row in await tx.execute(_READ, **_columns(existing))} if existing else {}
    resumable = [
        key
        for key, row in stored.items()
        if row.state == "STARTED" and not row.in_flight and row.fingerprint == first[key].fingerprint
    ]
    taken_over = (
        {_key(row) for row in await tx.execute(_TAKE_OVER, **_columns(sorted(resumable, key=_order)), lease=LEASE)}
        if resumable
        else set()
    )
    return [_claim_result(each, first, fresh, stored, taken_over) for each in claims]


async def complete(tx: Tx, completions: Sequence[Completion]) -> None:
    """Store final answers."""
    if not completions:
        return
    await tx.write(
        "idempotency_keys",
        _COMPLETE,
        **_columns([each.key for each in completions]),
        subjects=[each.subject for each in completions],
        statuses=[each.status for each in completions],
        responses=[each.response for each in completions],
    )


async def adopt(tx: Tx, subjects: Mapping[Key, UUID]) -> None:
    """Say what the claimed keys are about instead: what the same request made before the table forgot its key."""
    if subjects:
        await tx.write("idempotency_keys", _ADOPT, **_columns(list(subjects)), subjects=list(subjects.values()))


async def purge(tx: Tx) -> int:
    """Delete keys that ran out; how many."""
    return len(await tx.execute(_PURGE))


def _claim_result(
    each: Claim, first: dict[Key, Claim], fresh: set[Key], stored: dict[Key, Row], taken_over: set[Key]
) -> ClaimResult:
    if each.key in fresh:
        if first[each.key] is each:
            return Fresh()
        same = first[each.key].fingerprint == each.fingerprint
        return IdempotencyKeyInFlight() if same else IdempotencyKeyReused()
    row = stored.get(each.key)
    if row is None:
        # Another transaction is committing it right now.
        return IdempotencyKeyInFlight()
    if row.fingerprint != each.fingerprint:
        return IdempotencyKeyReused()
    if row.state == "COMPLETED":
        return Answered(row.subject, row.status, row.response)
    if each.key in taken_over and first[each.key] is each:
        return Resumed(row.subject)
    return IdempotencyKeyInFlight()


def _columns(keys: Sequence[Key]) -> dict[str, list[str]]:
    return {
        "merchants": [key.merchant_id for key in keys],
        "users": [key.user_id for key in keys],
        "routes": [key.route for key in keys],
        "keys": [key.key for key in keys],
    }


def _key(row: Row) -> Key:
    return Key(row.merchant_id, row.user_id, row.route, row.key)


def _order(key: Key) -> tuple[str, str, str, str]:
    return (key.merchant_id, key.user_id, key.route, key.key)
