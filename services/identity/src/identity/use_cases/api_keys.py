"""Issue, change, rotate and revoke API keys. Changes are announced: every replica drops what it knows of the key."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from commdesk.common.v1.events_pb2 import AuditRecorded
from common import api_keys as key_texts
from common import ids, outbox
from common.api_keys import Environment, Kind, texts
from common.api_versions import LATEST
from common.clock import Clock
from common.database import Database, Tx, retried
from common.errors import DomainError, require_at_most
from common.permissions import TABLE
from identity.domain import api_keys as domain
from identity.domain.api_keys import KEYS_MAX, ApiKey, IssuedKey, KeyChange, KeyRevocation, Limits, NewKey, Rotation
from identity.domain.errors import ApiKeyEnded, ApiKeyLimitReached, ApiKeyRightsExceeded, MerchantNotFound
from identity.domain.step_up import StepUpPolicy
from identity.store import api_keys as store
from identity.store import commands, queries
from identity.use_cases.authorizations import Rights, read_rights
from identity.wire import events

PAGE_MAX = 200

Request = NewKey | KeyChange | Rotation | KeyRevocation


@retried
async def issue_keys(
    db: Database, clock: Clock, policy: StepUpPolicy, wanted: Sequence[NewKey]
) -> list[IssuedKey | DomainError]:
    """A fresh key for each; the text of each is in the answer and nowhere else."""
    results: list[IssuedKey | DomainError] = []
    async with db.begin() as tx:
        merchant_ids = {each.merchant_id for each in wanted}
        environments = await _lock_merchants(tx, merchant_ids)
        now = clock.now()
        actors = await _lock_actors(tx, policy, wanted, now)
        counts = await store.valid_counts(tx, merchant_ids, now)
        audits: list[AuditRecorded] = []
        for each in wanted:
            try:
                actors.check(each)
                environment = _environment(environments, each.merchant_id)
                issued = _issued(tx, each, environment, now)
                actors.check_gift(each, issued.key)
                _count(counts, each.merchant_id)
            except DomainError as error:
                results.append(error)
                continue
            audits.append(events.api_key_audit("api_key.created", issued.key, each.actor, each.origin, now))
            results.append(issued)
        await store.insert(tx, [result.key for result in results if isinstance(result, IssuedKey)])
        await outbox.append(tx, audits)
    return results


@retried
async def change_keys(
    db: Database, clock: Clock, policy: StepUpPolicy, changes: Sequence[KeyChange]
) -> list[ApiKey | DomainError]:
    """Restrict keys, or widen them; name them anew."""
    results: list[ApiKey | DomainError] = []
    async with db.begin() as tx:
        environments = await queries.environments(tx, {change.merchant_id for change in changes})
        now = clock.now()
        actors = await _lock_actors(tx, policy, changes, now)
        keys = await store.lock(tx, {change.api_key_id for change in changes})
        audits: list[AuditRecorded] = []
        saved: dict[UUID, ApiKey] = {}
        for change in changes:
            try:
                actors.check(change)
                before = _usable(keys.get(change.api_key_id), change.merchant_id, now)
                name, limits = domain.changed(before, change)
                after = replace(
                    before,
                    name=domain.checked_name(name),
                    limits=_checked(before, limits, _environment(environments, change.merchant_id), now),
                )
                actors.check_gift(change, after)
            except DomainError as error:
                results.append(error)
                continue
            if after != before:
                keys[after.api_key_id] = saved[after.api_key_id] = after
                audits.append(
                    events.api_key_audit("api_key.changed", after, change.actor, change.origin, now, before=before)
                )
            results.append(after)
        await store.save(tx, list(saved.values()))
        await outbox.append(
            tx, [*audits, *(events.api_key_ended(key, "api_key_changed", now) for key in saved.values())]
        )
    return results


@retried
async def rotate_keys(
    db: Database, clock: Clock, policy: StepUpPolicy, rotations: Sequence[Rotation]
) -> list[IssuedKey | DomainError]:
    """A fresh key in place of each, with the same rights; the old one goes on for the overlap, and ends."""
    results: list[IssuedKey | DomainError] = []
    async with db.begin() as tx:
        merchant_ids = {rotation.merchant_id for rotation in rotations}
        environments = await _lock_merchants(tx, merchant_ids)
        now = clock.now()
        actors = await _lock_actors(tx, policy, rotations, now)
        keys = await store.lock(tx, {rotation.api_key_id for rotation in rotations})
        counts = await store.valid_counts(tx, merchant_ids, now)
        audits: list[AuditRecorded] = []
        retired: dict[UUID, ApiKey] = {}
        for rotation in rotations:
            try:
                actors.check(rotation)
                old = _usable(keys.get(rotation.api_key_id), rotation.merchant_id, now)
                actors.check_gift(rotation, old)
                environment = _environment(environments, rotation.merchant_id)
                ended = domain.retired(old, rotation.overlap, now)
                if rotation.overlap:
                    _count(counts, rotation.merchant_id)
                limits = replace(old.limits, expires_at=domain.expiry_of_successor(old, now))
                new = NewKey(old.merchant_id, old.kind, old.name, limits, rotation.actor, rotation.origin)
                issued = _issued(tx, new, environment, now, replaces=old)
            except DomainError as error:
                results.append(error)
                continue
            keys[old.api_key_id] = retired[old.api_key_id] = ended
            audits.append(events.api_key_audit("api_key.rotated", issued.key, rotation.actor, rotation.origin, now))
            results.append(issued)
        await store.insert(tx, [result.key for result in results if isinstance(result, IssuedKey)])
        await store.save(tx, list(retired.values()))
        ends = [events.api_key_ended(key, "api_key_rotated", now) for key in retired.values()]
        await outbox.append(tx, [*audits, *ends])
    return results


@retried
async def revoke_keys(
    db: Database, clock: Clock, policy: StepUpPolicy, revocations: Sequence[KeyRevocation]
) -> list[ApiKey | DomainError]:
    """End keys at once; one that has ended is no error."""
    results: list[ApiKey | DomainError] = []
    async with db.begin() as tx:
        now = clock.now()
        actors = await _lock_actors(tx, policy, revocations, now)
        keys = await store.lock(tx, {revocation.api_key_id for revocation in revocations})
        audits: list[AuditRecorded] = []
        saved: dict[UUID, ApiKey] = {}
        for revocation in revocations:
            try:
                actors.check(revocation)
                key = keys.get(revocation.api_key_id)
                before = domain.of_merchant(key, revocation.merchant_id or (key.merchant_id if key else ""))
            except DomainError as error:
                results.append(error)
                continue
            after = domain.revoked(before, revocation.because, now)
            if after is not before:
                keys[after.api_key_id] = saved[after.api_key_id] = after
                audits.append(events.api_key_audit("api_key.revoked", after, revocation.actor, revocation.origin, now))
            results.append(after)
        await store.save(tx, list(saved.values()))
        await outbox.append(
            tx, [*audits, *(events.api_key_ended(key, "api_key_revoked", now) for key in saved.values())]
        )
    return results


async def read_key(db: Database, merchant_id: str, api_key_id: UUID) -> ApiKey:
    """Raises ApiKeyNotFound."""
    async with db.autocommit() as tx:
        return domain.of_merchant((await store.by_id(tx, [api_key_id])).get(api_key_id), merchant_id)


async def list_keys(db: Database, merchant_id: str, before: UUID | None, limit: int) -> list[ApiKey]:
    """The merchant's keys, the newest first. Raises LimitExceeded."""
    require_at_most(PAGE_MAX + 1, limit=limit)
    async with db.autocommit() as tx:
        return await store.page(tx, merchant_id, before, limit)


class Actors(Struct, frozen=True):
    """Those who act, with their rights as they are and stay until the transaction ends. Operators have all of them."""

    rights: Rights
    policy: StepUpPolicy
    now: datetime

    def check(self, request: Request) -> None:
        """Raises RightsOutdated, SecondFactorMissing or StepUpRequired."""
        refusal = self.rights.refusal(request.act, self.policy, self.now) if request.act is not None else None
        if refusal is not None:
            raise refusal

    def check_gift(self, request: Request, key: ApiKey) -> None:
        """Who gets a key's text, or widens it, could do all of this by the key. Raises ApiKeyRightsExceeded."""
        act = request.act
        if act is None or self.rights.is_administrator(act):
            return
        if not domain.permissions_of(key) <= self.rights.granted(act):
            raise ApiKeyRightsExceeded("the key may do what you may not")


async def _lock_actors(tx: Tx, policy: StepUpPolicy, requests: Sequence[Request], now: datetime) -> Actors:
    """Whose rights are lost meanwhile waits, or has lost them before. Merchants are locked before."""
    acts = [request.act for request in requests if request.act is not None]
    await commands.share_users(tx, {act.user_id for act in acts if act.user_id is not None})
    return Actors(await read_rights(tx, acts, now), policy, now)


async def _lock_merchants(tx: Tx, merchant_ids: Collection[str]) -> dict[str, Environment]:
    """Their environments; keys of these merchants are counted and made by nobody else until *tx* ends."""
    await commands.lock_merchants(tx, merchant_ids)
    return await queries.environments(tx, merchant_ids)


def allowed_permissions(kind: Kind) -> frozenset[str]:
    """What keys of this kind may do at all."""
    return TABLE.of_key_kind(kind)


def _environment(environments: dict[str, Environment], merchant_id: str) -> Environment:
    if merchant_id not in environments:
        raise MerchantNotFound("there is no such merchant")
    return environments[merchant_id]


def _count(counts: dict[str, int], merchant_id: str) -> None:
    """Raises ApiKeyLimitReached when one more is too many."""
    counts[merchant_id] = counts.get(merchant_id, 0) + 1
    if counts[merchant_id] > KEYS_MAX:
        raise ApiKeyLimitReached(f"a merchant has at most {KEYS_MAX} valid keys")


def _usable(key: ApiKey | None, merchant_id: str, now: datetime) -> ApiKey:
    key = domain.of_merchant(key, merchant_id)
    if not key.is_valid(now):
        raise ApiKeyEnded("the key was revoked or has expired")
    return key


def _checked(key: ApiKey, limits: Limits, environment: Environment, now: datetime) -> Limits:
    """The limits of a key that goes on: an expiry that it has already is not looked at again."""
    expires_at = limits.expires_at
    if expires_at == key.limits.expires_at:
        limits = replace(limits, expires_at=None)
    checked = domain.checked_limits(key.kind, environment, limits, allowed_permissions(key.kind), now)
    return replace(checked, expires_at=expires_at)


def _issued(
    tx: Tx, new: NewKey, environment: Environment, now: datetime, *, replaces: ApiKey | None = None
) -> IssuedKey:
    """Raises RequestInvalid."""
    name = domain.checked_name(new.name)
    limits = domain.checked_limits(new.kind, environment, new.limits, allowed_permissions(new.kind), now)
    text = key_texts.generate(new.kind, environment)
    key = ApiKey(
        api_key_id=ids.new(),
        merchant_id=new.merchant_id,
        kind=new.kind,
        name=name,
        prefix=texts.prefix(new.kind, environment),
        last_four=text[-4:],
        key_hash=store.key_hash(tx.sealer, key_texts.read(text).digest),
        limits=limits,
        api_version=LATEST if replaces is None else replaces.api_version,
        created_by=new.actor,
        created_at=now,
        replaces=None if replaces is None else replaces.api_key_id,
    )
    return IssuedKey(key, text)
