"""API keys. Their merchants' rows are locked before them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

from common.database import Row, Tx
from common.seals import API_KEY, Sealer
from identity.domain.api_keys import ApiKey, Limits

_INSERT = """
insert into api_keys (api_key_id, merchant_id, kind, name, prefix, last_four, key_hash, permissions, origins, networks,
                      api_version, created_by, created_at, expires_at, replaces)
select api_key_id, merchant_id, kind, name, prefix, last_four, key_hash, string_to_array(permissions, ' '),
       string_to_array(origins, ' '), string_to_array(networks, ' '), api_version, created_by, created_at, expires_at,
       replaces
from unnest(
    cast(:ids as uuid[]), cast(:merchant_ids as text[]), cast(:kinds as text[]), cast(:names as text[]),
    cast(:prefixes as text[]), cast(:last_fours as text[]), cast(:hashes as bytea[]), cast(:permissions as text[]),
    cast(:origins as text[]), cast(:networks as text[]), cast(:versions as date[]), cast(:creators as text[]),
    cast(:times as timestamptz[]), cast(:expiries as timestamptz[]), cast(:replaced as uuid[]))
    as c (api_key_id, merchant_id, kind, name, prefix, last_four, key_hash, permissions, origins, networks, api_version,
          created_by, created_at, expires_at, replaces)
on conflict (api_key_id) do nothing
"""
_LOCK = "select * from api_keys where api_key_id = any(cast(:ids as uuid[])) order by api_key_id for no key update"
_SAVE = """
update api_keys k
set name = c.name, permissions = string_to_array(c.permissions, ' '), origins = string_to_array(c.origins, ' '),
    networks = string_to_array(c.networks, ' '), expires_at = c.expires_at, revoked_at = c.revoked_at,
    revoked_because = c.revoked_because
from unnest(
    cast(:ids as uuid[]), cast(:names as text[]), cast(:permissions as text[]), cast(:origins as text[]),
    cast(:networks as text[]), cast(:expiries as timestamptz[]), cast(:revocations as timestamptz[]),
    cast(:reasons as text[]))
    as c (api_key_id, name, permissions, origins, networks, expires_at, revoked_at, revoked_because)
where k.api_key_id = c.api_key_id
"""
# A flush that is late does not take a later use back.
_SAVE_USES = """
update api_keys k set last_used_at = c.used_at
from (select * from unnest(cast(:ids as uuid[]), cast(:times as timestamptz[])) as c (api_key_id, used_at)
      order by api_key_id) c
where k.api_key_id = c.api_key_id and (k.last_used_at is null or k.last_used_at < c.used_at)
"""
_VALID_COUNTS = """
select merchant_id, count(*) as count from api_keys
where merchant_id = any(cast(:merchant_ids as text[])) and revoked_at is null
  and (expires_at is null or expires_at > :now)
group by merchant_id
"""
_BY_HASH = """
select k.* from api_keys k
join merchants m on m.merchant_id = k.merchant_id join accounts a on a.account_id = m.account_id
where k.key_hash = any(cast(:hashes as bytea[])) and k.revoked_at is null
  and (k.expires_at is null or k.expires_at > :now) and m.status = 'ACTIVE' and a.status = 'ACTIVE'
"""
_PAGE = """
select * from api_keys
where merchant_id = :merchant_id and (cast(:before as uuid) is null or api_key_id < :before)
order by api_key_id desc limit :limit
"""
_BY_ID = "select * from api_keys where api_key_id = any(cast(:ids as uuid[]))"


def key_hash(sealer: Sealer, digest: bytes) -> bytes:
    """What a key is found by: the digest of its text under a key that the database does not have (ADR 0068)."""
    return sealer.blind_index(API_KEY, digest.hex())


async def insert(tx: Tx, keys: Sequence[ApiKey]) -> None:
    """Of locked merchants; one whose id is there already stays as it is."""
    if not keys:
        return
    ordered = sorted(keys, key=lambda key: key.api_key_id)
    await tx.execute(
        _INSERT,
        merchant_ids=[key.merchant_id for key in ordered],
        kinds=[key.kind for key in ordered],
        prefixes=[key.prefix for key in ordered],
        last_fours=[key.last_four for key in ordered],
        hashes=[key.key_hash for key in ordered],
        versions=[date.fromisoformat(key.api_version) for key in ordered],
        creators=[key.created_by for key in ordered],
        times=[key.created_at for key in ordered],
        replaced=[key.replaces for key in ordered],
        **_changeable(ordered),
    )


async def lock(tx: Tx, api_key_ids: Collection[UUID]) -> dict[UUID, ApiKey]:
    """Those that exist; nobody else changes them until *tx* ends, but for their last use."""
    return {row.api_key_id: _key(row) for row in await tx.execute(_LOCK, ids=sorted(api_key_ids))}


async def save(tx: Tx, keys: Sequence[ApiKey]) -> None:
    """Write locked keys back."""
    if not keys:
        return
    ordered = sorted(keys, key=lambda key: key.api_key_id)
    await tx.execute(
        _SAVE,
        revocations=[key.revoked_at for key in ordered],
        reasons=[key.revoked_because for key in ordered],
        **_changeable(ordered),
    )


async def save_uses(tx: Tx, uses: Mapping[UUID, datetime]) -> None:
    """When keys were last used."""
    if uses:
        await tx.execute(_SAVE_USES, ids=list(uses), times=list(uses.values()))


async def valid_counts(tx: Tx, merchant_ids: Collection[str], now: datetime) -> dict[str, int]:
    """How many valid keys merchants have; none when they have none."""
    found = await tx.execute(_VALID_COUNTS, merchant_ids=list(merchant_ids), now=now)
    return {row.merchant_id: row.count for row in found}


async def valid_by_hash(tx: Tx, hashes: Collection[bytes], now: datetime) -> dict[bytes, ApiKey]:
    """The valid keys of active merchants of active accounts."""
    found = await tx.execute(_BY_HASH, hashes=list(hashes), now=now)
    return {bytes(row.key_hash): _key(row) for row in found}


async def by_id(tx: Tx, api_key_ids: Collection[UUID]) -> dict[UUID, ApiKey]:
    return {row.api_key_id: _key(row) for row in await tx.execute(_BY_ID, ids=list(api_key_ids))}


async def page(tx: Tx, merchant_id: str, before: UUID | None, limit: int) -> list[ApiKey]:
    """A merchant's keys, the newest first, ended ones included."""
    found = await tx.execute(_PAGE, merchant_id=merchant_id, before=before, limit=limit)
    return [_key(row) for row in found]


def _changeable(keys: Sequence[ApiKey]) -> dict[str, list[object]]:
    """What a change may change. Lists are joined by blanks, which none of their items has."""
    return {
        "ids": [key.api_key_id for key in keys],
        "names": [key.name for key in keys],
        "permissions": [
            None if key.limits.permissions is None else " ".join(sorted(key.limits.permissions)) for key in keys
        ],
        "origins": [" ".join(key.limits.origins) for key in keys],
        "networks": [" ".join(key.limits.networks) for key in keys],
        "expiries": [key.limits.expires_at for key in keys],
    }


def _key(row: Row) -> ApiKey:
    return ApiKey(
        api_key_id=row.api_key_id,
        merchant_id=row.merchant_id,
        kind=row.kind,
        name=row.name,
        prefix=row.prefix,
        last_four=row.last_four,
        key_hash=bytes(row.key_hash),
        limits=Limits(
            permissions=None if row.permissions is None else frozenset(row.permissions),
            origins=tuple(row.origins),
            networks=tuple(row.networks),
            expires_at=row.expires_at,
        ),
        api_version=row.api_version.isoformat(),
        created_by=row.created_by,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        revoked_because=row.revoked_because,
        last_used_at=row.last_used_at,
        replaces=row.replaces,
    )
