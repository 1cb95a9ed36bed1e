"""Members of an account and their roles: those of the table of permissions, and those that the account has made."""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from common import names
from common.context import Context
from common.errors import DomainError, RightsOutdated
from common.permissions import TABLE
from identity.domain.errors import (
    MemberNotFound,
    OwnerIsLast,
    PermissionUnknown,
    RoleInvalid,
    RoleNotGrantable,
    RoleUnknown,
)

OWNER = "OWNER"
MANAGE_MEMBERS = "members.manage"
MANAGE_ROLES = "roles.manage"
MEMBERS_MAX = 500
CUSTOM_ROLES_MAX = 50
ROLE_NAME_LENGTH_MAX = 60


class Membership(Struct, frozen=True):
    """A user's roles in an account: names of merchant roles, ids of custom ones (rol_…)."""

    account_id: str
    user_id: UUID
    roles: frozenset[str]
    created_at: datetime
    updated_at: datetime


class CustomRole(Struct, frozen=True):
    """A set of permissions under a name, made by an account for its members."""

    role_id: str
    account_id: str
    name: str
    permissions: frozenset[str]
    created_at: datetime
    updated_at: datetime


class Seat(Struct, frozen=True):
    """What a user is in one environment of an account of theirs. *permissions* are those of custom roles."""

    user_id: UUID
    account_id: str
    account_name: str
    merchant_id: str
    environment: str
    roles: frozenset[str]
    permissions: frozenset[str]
    is_active: bool

    @property
    def granted(self) -> frozenset[str]:
        return TABLE.of_member(self.roles, self.permissions)


class MemberChange(Struct, frozen=True):
    """A member gets *roles*, or with None is removed. *actor_id* is None for an operator, whom *actor* names."""

    account_id: str
    user_id: UUID
    roles: frozenset[str] | None
    actor_id: UUID | None
    actor: str
    origin: Context


def permissions_of(roles: Collection[str], custom: Mapping[str, CustomRole]) -> frozenset[str]:
    """What a member with *roles* may do; *custom* are the account's own roles by id."""
    own = {name for role in roles if role in custom for name in custom[role].permissions}
    return TABLE.of_member(roles, own)


def act_refusal(actor: Membership | None, permission: str, custom: Mapping[str, CustomRole]) -> RightsOutdated | None:
    """Why *actor*, as the database knows them now, may not use *permission*. Their token counts for nothing."""
    if actor is None or permission not in permissions_of(actor.roles, custom):
        return RightsOutdated("your roles do not allow this any more")
    return None


def grant_refusal(
    actor: Membership | None, before: Collection[str], after: Collection[str], custom: Mapping[str, CustomRole]
) -> DomainError | None:
    """Why *actor* may not turn the roles *before* into *after*, or None. An operator (None) may.

    Nobody gives what they do not have, and only an owner makes or unmakes one.
    """
    unknown = {*after} - TABLE.merchant_roles.keys() - custom.keys()
    if unknown:
        return RoleUnknown("a member has the roles of the reference, or the account's own")
    if actor is None:
        return None
    if (OWNER in before) != (OWNER in after) and OWNER not in actor.roles:
        return RoleNotGrantable("only an owner decides who is one")
    if OWNER in before and OWNER not in actor.roles:
        return RoleNotGrantable("only an owner changes an owner")
    if not permissions_of(after, custom) <= permissions_of(actor.roles, custom):
        return RoleNotGrantable("a role has permissions that you do not have")
    return None


def changed_member(
    change: MemberChange,
    actor: Membership | None,
    member: Membership | None,
    owners: Collection[UUID],
    custom: Mapping[str, CustomRole],
) -> DomainError | None:
    """Why *change* may not be, or None. *owners* are the account's now; the last one stays."""
    if change.actor_id is not None and (refused := act_refusal(actor, MANAGE_MEMBERS, custom)):
        return refused
    if member is None:
        return MemberNotFound("there is no such member")
    if change.roles is not None and not change.roles:
        return RoleUnknown("a member has at least one role")
    by = actor if change.actor_id is not None else None
    if refusal := grant_refusal(by, member.roles, change.roles or frozenset(), custom):
        return refusal
    if OWNER not in (change.roles or ()) and set(owners) == {member.user_id}:
        return OwnerIsLast("somebody has to stay owner")
    return None


def check_role(name: str, permissions: Collection[str], having: Collection[str]) -> None:
    """Whether a role may be made of *permissions* by a member with *having*.

    Raises RoleInvalid, PermissionUnknown, RoleNotGrantable.
    """
    problem = names.name_problem(name)
    if problem or len(name) > ROLE_NAME_LENGTH_MAX:
        raise RoleInvalid("a role needs a name", name=problem or f"has at most {ROLE_NAME_LENGTH_MAX} characters")
    if name.upper() in TABLE.merchant_roles:
        raise RoleInvalid("the name is taken", name="is the name of a role that every account has")
    if not permissions or not {*permissions} <= TABLE.of_member(TABLE.merchant_roles):
        raise PermissionUnknown("a role has at least one permission, and only those of merchants")
    if not {*permissions} <= {*having}:
        raise RoleNotGrantable("a role has permissions that you do not have")
