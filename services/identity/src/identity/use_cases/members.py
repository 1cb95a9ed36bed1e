"""Members of an account: list them, change their roles, remove them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from common import ids, outbox
from common.clock import Clock
from common.database import Database, Tx, retried
from common.errors import DomainError
from identity.domain import memberships as rules
from identity.domain import revocations, users
from identity.domain.errors import MerchantNotFound
from identity.domain.invitations import InvitationStatus
from identity.domain.memberships import OWNER, MemberChange, Membership
from identity.domain.users import User
from identity.store import accounts, commands, invitations, memberships, queries
from identity.use_cases.revocations import announce
from identity.wire import events


async def list_members(db: Database, account_id: str) -> list[tuple[Membership, User]]:
    """All of them, the oldest first: their number is bounded."""
    async with db.begin() as tx:
        members = (await memberships.of_accounts(tx, {account_id}))[account_id]
        people = await queries.users_by_id(tx, members)
    return [(member, people[user_id]) for user_id, member in members.items() if user_id in people]


async def find_member(db: Database, member: Membership) -> tuple[Membership, User]:
    """With the user."""
    async with db.autocommit() as tx:
        return member, (await queries.users_by_id(tx, {member.user_id}))[member.user_id]


@retried
async def change_members(
    db: Database, clock: Clock, changes: Sequence[MemberChange]
) -> list[Membership | DomainError | None]:
    """The membership after each change, None for one that was removed.

    The account is locked first, so that two owners who leave at once see each other go, then the rows of actors and
    members: a lost right cannot be used. Who loses or gets roles needs new tokens: the old ones are refused.
    """
    results: list[Membership | DomainError | None] = []
    now = clock.now()
    async with db.begin() as tx:
        account_ids = {change.account_id for change in changes}
        locked = await accounts.lock(tx, account_ids)
        actor_ids = {change.actor_id for change in changes if change.actor_id is not None}
        await commands.lock_users(tx, {change.user_id for change in changes} | actor_ids)
        members = await memberships.of_accounts(tx, account_ids)
        custom = await memberships.custom_roles(tx, account_ids)
        saved: dict[tuple[str, UUID], Membership] = {}
        removed: dict[tuple[str, UUID], Membership] = {}
        audits = []
        for change in changes:
            account = locked.get(change.account_id)
            if account is None:
                results.append(MerchantNotFound("there is no such merchant"))
                continue
            of_account = members[change.account_id]
            actor = of_account.get(change.actor_id) if change.actor_id is not None else None
            member = of_account.get(change.user_id)
            owners = {each.user_id for each in of_account.values() if OWNER in each.roles}
            refusal = rules.changed_member(change, actor, member, owners, custom[change.account_id])
            if refusal is not None:
                results.append(refusal)
                continue
            assert member is not None
            key = (member.account_id, member.user_id)
            before = {"userId": ids.encode("usr", member.user_id), "roles": sorted(member.roles)}
            if change.roles is None:
                removed[key] = of_account.pop(member.user_id)
                saved.pop(key, None)
                audits.append(
                    events.account_audit("member.removed", account, change.origin, now, change.actor, before=before)
                )
                results.append(None)
                continue
            if change.roles != member.roles:
                member = replace(member, roles=change.roles, updated_at=now)
                of_account[member.user_id] = saved[key] = member
                after = {**before, "roles": sorted(member.roles)}
                audits.append(
                    events.account_audit(
                        "member.roles_changed", account, change.origin, now, change.actor, before=before, after=after
                    )
                )
            results.append(member)
        await memberships.save(tx, list(saved.values()))
        await memberships.delete(tx, list(removed.values()))
        await _revoke_invitations(tx, {*removed, *saved}, now)
        await revoke_tokens(tx, {user_id for _, user_id in (*saved, *removed)}, now)
        await outbox.append(tx, audits)
    return results


async def _revoke_invitations(tx: Tx, changed: Collection[tuple[str, UUID]], now: datetime) -> None:
    """Nobody comes in any more whom a member invited that has to go, or that may do something else from now on."""
    if not changed:
        return
    inviters = {(account_id, ids.encode("usr", user_id)) for account_id, user_id in changed}
    pending = await invitations.pending(tx, {account_id for account_id, _ in changed})
    await invitations.save(
        tx,
        [
            replace(each, status=InvitationStatus.REVOKED, updated_at=now)
            for of_account in pending.values()
            for each in of_account.values()
            if (each.account_id, each.invited_by) in inviters
        ],
    )


async def revoke_tokens(tx: Tx, user_ids: Collection[UUID], now: datetime) -> None:
    """Refuse the tokens that these users have now: what they may do has changed. Their sessions go on."""
    touched = [users.touched(user, now) for user in (await commands.lock_users(tx, user_ids)).values()]
    await commands.save_users(tx, touched)
    await announce(tx, [revocations.of_user(user, "membership_changed", now) for user in touched])
