"""Access: the roles of users, and whether their accounts are switched on."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from commdesk.common.v1.events_pb2 import AuditRecorded
from common import outbox
from common.clock import Clock
from common.database import Database, Tx, retried
from common.errors import DomainError
from identity.domain import revocations, users
from identity.domain.access import Act, changed_access, is_administrator
from identity.domain.changes import AccessChange
from identity.domain.step_up import StepUpPolicy
from identity.domain.users import User
from identity.store import commands, queries
from identity.use_cases.authorizations import require_act
from identity.use_cases.batches import only
from identity.use_cases.profiles import Profiles
from identity.use_cases.revocations import announce, end_sessions
from identity.wire import events


async def change_user_access(
    db: Database, clock: Clock, policy: StepUpPolicy, profiles: Profiles, act: Act, change: AccessChange
) -> User:
    """Raises RightsOutdated, StepUpRequired, SecondFactorMissing, RoleUnknown, UserNotFound or AdministratorIsLast."""
    await require_act(db, clock, policy, act)
    user = only(await change_access(db, clock, [change]))
    await profiles.remember(user)
    return user


@retried
async def change_access(db: Database, clock: Clock, changes: Sequence[AccessChange]) -> list[User | DomainError]:
    """Grant and take roles, switch accounts on and off; switching one off ends all its sessions."""
    async with db.begin() as tx:
        return await change_access_in(tx, clock, changes)


async def change_access_in(tx: Tx, clock: Clock, changes: Sequence[AccessChange]) -> list[User | DomainError]:
    """The same within *tx*, which holds no lock of identity's yet.

    The actor is read under the same locks as the changed users, so that a lost right cannot be used.
    """
    results: list[User | DomainError] = []
    merchant_ids = {change.merchant_id for change in changes}
    # Changes of a merchant's rights wait for one another: two administrators who leave at once see each other go.
    await commands.lock_merchants(tx, merchant_ids)
    role_names = await queries.role_names(tx)
    actor_ids = {change.actor_id for change in changes if change.actor_id is not None}
    current_users = await commands.lock_users(tx, {change.user_id for change in changes} | actor_ids)
    administrators = await queries.active_administrators(tx, merchant_ids)
    now = clock.now()
    changed: dict[UUID, tuple[User, str]] = {}
    audits = []
    for change in changes:
        user = current_users.get(change.user_id)
        actor = current_users.get(change.actor_id) if change.actor_id is not None else None
        of_merchant = administrators.setdefault(change.merchant_id, set())
        access = changed_access(change, actor, user, role_names, of_merchant)
        if isinstance(access, DomainError):
            results.append(access)
            continue
        assert user is not None
        if access != user.access:
            before, user = user, replace(users.touched(user, now), access=access)
            current_users[user.user_id] = user
            if is_administrator(user, change.merchant_id):
                of_merchant.add(user.user_id)
            else:
                of_merchant.discard(user.user_id)
            changed[user.user_id] = (user, change.actor)
            audits.append(_access_audit(before, user, change, now))
        results.append(user)
    await commands.save_users(tx, [user for user, _ in changed.values()])
    for granter in sorted({granter for _, granter in changed.values()}):
        await commands.save_roles(tx, [user for user, by in changed.values() if by == granter], granted_by=granter)
    await announce(tx, [revocations.of_user(user, "access_changed", now) for user, _ in changed.values()])
    inactive = {user_id: user for user_id, (user, _) in changed.items() if not user.is_active}
    await end_sessions(tx, inactive, "user_inactive", now)
    await outbox.append(tx, audits)
    return results


def _access_audit(before: User, after: User, change: AccessChange, now: datetime) -> AuditRecorded:
    action = "user.roles_changed" if before.access.roles != after.access.roles else "user.status_changed"
    return events.user_audit(
        action,
        after,
        change.origin,
        now,
        actor=change.actor,
        before=events.access_state(before),
        after=events.access_state(after),
    )
