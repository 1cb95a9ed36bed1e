"""Who may change whose access, and to what."""

from collections.abc import Collection
from uuid import UUID

from msgspec import Struct

from common.errors import DomainError, RightsOutdated
from common.permissions import TABLE
from identity.domain.changes import AccessChange
from identity.domain.errors import AdministratorIsLast, RoleUnknown, UserNotFound
from identity.domain.memberships import Seat
from identity.domain.sessions import Session
from identity.domain.users import ADMIN, Access, Status, User


def is_administrator(user: User | None, merchant_id: str) -> bool:
    """Whether *user*, as the database knows them now, is an active administrator of *merchant_id*."""
    return user is not None and user.merchant_id == merchant_id and user.is_active and ADMIN in user.access.roles


class Act(Struct, frozen=True):
    """What a user is about to do elsewhere, by *permission*. Ids that are none of ours are None.

    A caller of an older release names no permission but platform roles, any one of which suffices.

    By the access token, the user last proved who they are at *authenticated_at_seconds*, by *methods* (RFC 8176).
    """

    user_id: UUID | None
    merchant_id: str
    session_id: UUID | None
    roles: frozenset[str]
    authenticated_at_seconds: int
    methods: frozenset[str]
    # Of an act by API key, in place of all but the merchant.
    api_key_id: UUID | None = None
    permission: str = ""


def refusal(act: Act, user: User | None, session: Session | None, seats: Collection[Seat]) -> RightsOutdated | None:
    """Why *user* may not do it now; *session* is None when it is not open. *seats* are the user's in accounts: those
    count where the act is not one of the user's own merchant.
    """
    if user is None or not user.is_active:
        return RightsOutdated("the account is not active")
    if session is None or session.user_id != user.user_id:
        return RightsOutdated("the session has ended")
    if act.merchant_id != user.merchant_id or act.permission:
        may = act.permission in granted(act.merchant_id, user, seats)
    else:
        may = not user.access.roles.isdisjoint(act.roles)
    return None if may else RightsOutdated("your roles do not allow this any more")


def granted(merchant_id: str, user: User, seats: Collection[Seat]) -> frozenset[str]:
    """What *user* may do for *merchant_id*, whose own they are or in whose account they have one of *seats*."""
    if merchant_id == user.merchant_id:
        return TABLE.of_platform_roles(user.access.roles)
    seat = next((each for each in seats if each.merchant_id == merchant_id and each.is_active), None)
    return frozenset() if seat is None else seat.granted


def changed_access(
    change: AccessChange,
    actor: User | None,
    user: User | None,
    role_names: Collection[str],
    administrators: Collection[UUID],
) -> Access | DomainError:
    """The access of *user* after *change*, or why not. *administrators* are the merchant's active ones now.

    What the actor's token says of their roles counts for nothing: it may be older than their dismissal.
    """
    if change.actor_id is not None and not is_administrator(actor, change.merchant_id):
        return RightsOutdated("you are no administrator any more")
    if user is None or user.merchant_id != change.merchant_id:
        return UserNotFound()
    roles = (user.access.roles if change.roles is None else change.roles) | change.add_roles
    if not roles <= frozenset(role_names) or not roles:
        return RoleUnknown("a user has at least one role, and only known ones")
    access = Access(change.status or user.access.status, roles)
    stays = access.status is Status.ACTIVE and ADMIN in roles
    if not stays and set(administrators) == {user.user_id}:
        return AdministratorIsLast("somebody has to stay administrator")
    return access
