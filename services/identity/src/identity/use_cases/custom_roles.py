"""The roles that an account has made for its members: sets of permissions."""

from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from common import ids, outbox
from common.clock import Clock
from common.context import Context
from common.database import Database, Tx, retried
from identity.domain import memberships as rules
from identity.domain.accounts import Account
from identity.domain.errors import MembersTooMany, MerchantNotFound, RoleInUse, RoleInvalid, RoleNotFound
from identity.domain.memberships import CustomRole, Membership
from identity.store import accounts, commands, invitations, memberships
from identity.use_cases.members import revoke_tokens
from identity.wire import events


class RoleWork(Struct, frozen=True):
    """Who works on the roles of which account."""

    account_id: str
    actor_id: UUID
    actor: str
    origin: Context


class RoleChange(Struct, frozen=True):
    """What is None stays."""

    name: str | None = None
    permissions: frozenset[str] | None = None


class _Book(Struct, frozen=True):
    """A locked account and what is decided with."""

    account: Account
    actor: Membership
    members: dict[UUID, Membership]
    roles: dict[str, CustomRole]


async def list_roles(db: Database, account_id: str) -> list[CustomRole]:
    """All of them: their number is bounded."""
    async with db.autocommit() as tx:
        return list((await memberships.custom_roles(tx, {account_id}))[account_id].values())


@retried
async def create_role(db: Database, clock: Clock, work: RoleWork, name: str, permissions: frozenset[str]) -> CustomRole:
    """Raises RightsOutdated, RoleInvalid, PermissionUnknown, RoleNotGrantable, MembersTooMany."""
    now = clock.now()
    async with db.begin() as tx:
        book = await _open(tx, work)
        if len(book.roles) >= rules.CUSTOM_ROLES_MAX:
            raise MembersTooMany(f"an account has at most {rules.CUSTOM_ROLES_MAX} roles of its own")
        _check(book, name, permissions, "")
        role = CustomRole(ids.encode("rol", ids.new()), work.account_id, name, permissions, now, now)
        await memberships.save_custom_roles(tx, [role])
        after = {"roleId": role.role_id, "permissions": sorted(permissions)}
        await outbox.append(
            tx, [events.account_audit("role.created", book.account, work.origin, now, work.actor, after=after)]
        )
    return role


@retried
async def change_role(db: Database, clock: Clock, work: RoleWork, role_id: str, change: RoleChange) -> CustomRole:
    """Members with the role get new permissions with their next token: the old ones are refused.

    Raises RightsOutdated, RoleNotFound, RoleInvalid, PermissionUnknown, RoleNotGrantable.
    """
    now = clock.now()
    async with db.begin() as tx:
        book = await _open(tx, work, role_id)
        before = _found(book, role_id)
        name = before.name if change.name is None else change.name
        permissions = before.permissions if change.permissions is None else change.permissions
        _check(book, name, permissions, role_id)
        if (name, permissions) == (before.name, before.permissions):
            return before
        role = replace(before, name=name, permissions=permissions, updated_at=now)
        await memberships.save_custom_roles(tx, [role])
        if permissions != before.permissions:
            holders = {each.user_id for each in book.members.values() if role_id in each.roles}
            await revoke_tokens(tx, holders, now)
        audit = events.account_audit(
            "role.changed",
            book.account,
            work.origin,
            now,
            work.actor,
            before={"roleId": role_id, "permissions": sorted(before.permissions)},
            after={"roleId": role_id, "permissions": sorted(permissions)},
        )
        await outbox.append(tx, [audit])
    return role


@retried
async def delete_role(db: Database, clock: Clock, work: RoleWork, role_id: str) -> None:
    """Raises RightsOutdated, RoleNotFound, RoleInUse."""
    now = clock.now()
    async with db.begin() as tx:
        book = await _open(tx, work)
        role = _found(book, role_id)
        open_invitations = (await invitations.pending(tx, {work.account_id}))[work.account_id].values()
        given = [each.roles for each in book.members.values()]
        given += [each.roles for each in open_invitations if each.is_open(now)]
        if any(role_id in roles for roles in given):
            raise RoleInUse("somebody has this role")
        await memberships.delete_custom_roles(tx, [role_id])
        before = {"roleId": role_id, "permissions": sorted(role.permissions)}
        await outbox.append(
            tx, [events.account_audit("role.deleted", book.account, work.origin, now, work.actor, before=before)]
        )


async def _open(tx: Tx, work: RoleWork, role_id: str = "") -> _Book:
    """The account, locked, for an actor who may do this now; the rows of the actor and of who has the role, too.

    Raises RightsOutdated or MerchantNotFound.
    """
    account = (await accounts.lock(tx, {work.account_id})).get(work.account_id)
    if account is None:
        raise MerchantNotFound("there is no such merchant")
    members = (await memberships.of_accounts(tx, {work.account_id}))[work.account_id]
    await commands.lock_users(
        tx, {work.actor_id} | {each.user_id for each in members.values() if role_id in each.roles}
    )
    roles = (await memberships.custom_roles(tx, {work.account_id}))[work.account_id]
    actor = members.get(work.actor_id)
    if refusal := rules.act_refusal(actor, rules.MANAGE_ROLES, roles):
        raise refusal
    assert actor is not None
    return _Book(account, actor, members, roles)


def _found(book: _Book, role_id: str) -> CustomRole:
    if role_id not in book.roles:
        raise RoleNotFound("there is no such role")
    return book.roles[role_id]


def _check(book: _Book, name: str, permissions: frozenset[str], role_id: str) -> None:
    rules.check_role(name, permissions, rules.permissions_of(book.actor.roles, book.roles))
    if any(each.name.casefold() == name.casefold() and each.role_id != role_id for each in book.roles.values()):
        raise RoleInvalid("the name is taken", name="is another role's")
