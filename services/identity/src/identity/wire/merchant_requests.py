"""What comes in about merchants, members, roles and invitations, and what the use cases make of it."""

from collections.abc import Iterable
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from commdesk.identity.v1 import identity_pb2 as pb
from common import context, ids
from common.context import Context
from common.errors import RequestInvalid, require_at_most
from common.http_server import Body
from common.tokens import Caller
from identity.domain.accounts import AccountStatus, MerchantProfile, ProfileChange
from identity.domain.invitations import PREFIX, Invite
from identity.domain.memberships import MemberChange
from identity.use_cases.accounts import AccountOrder, MerchantChange, StatusChange
from identity.use_cases.custom_roles import RoleChange, RoleWork
from identity.use_cases.invitations import Acceptance, InvitationWork
from identity.use_cases.sessions import Switch
from identity.wire.requests import REASON_LENGTH_MAX, session_id, user_id

ACCOUNTS_MAX = 100
# As the tables allow.
ROLES_MAX = 20
Roles = Annotated[list[str], Meta(max_length=ROLES_MAX)]


class MerchantBody(Body, frozen=True):
    """*name* is what customers read; addresses begin with https."""

    name: str
    legal_name: str | None = None
    website: str | None = None
    logo_url: str | None = None
    support_email: str | None = None
    support_phone: str | None = None


class MerchantProfileBody(Body, frozen=True):
    """Fields that are absent stay as they are; null deletes."""

    name: str | UnsetType = UNSET
    legal_name: str | UnsetType | None = UNSET
    website: str | UnsetType | None = UNSET
    logo_url: str | UnsetType | None = UNSET
    support_email: str | UnsetType | None = UNSET
    support_phone: str | UnsetType | None = UNSET


class SwitchBody(Body, frozen=True):
    """*merchantId* is an environment of an account of the caller's, or the merchant whose user the caller is."""

    merchant_id: str


class MemberBody(Body, frozen=True):
    """*roles* replaces all the member's roles: names, or ids of the account's own roles."""

    roles: Roles


class InvitationBody(Body, frozen=True):
    """*roles*: names, or ids of the account's own roles."""

    email: str
    roles: Roles


class InvitationTokenBody(Body, frozen=True):
    """*token* is the one from the mail."""

    token: str


class RoleBody(Body, frozen=True):
    name: str
    permissions: list[str]


class RoleChangeBody(Body, frozen=True):
    """Fields that are absent stay as they are; *permissions* replaces all."""

    name: str | None = None
    permissions: list[str] | None = None


def account_order(caller: Caller, body: MerchantBody, origin: Context) -> AccountOrder:
    """Raises UserNotFound for a caller of another issuer."""
    profile = MerchantProfile(
        body.name, body.legal_name, body.website, body.logo_url, body.support_email, body.support_phone
    )
    return AccountOrder(profile, caller.user_id, origin, owner_id=user_id(caller))


def merchant_change(caller: Caller, body: MerchantProfileBody, origin: Context) -> MerchantChange:
    change = ProfileChange(
        body.name, body.legal_name, body.website, body.logo_url, body.support_email, body.support_phone
    )
    return MerchantChange(caller.account_id, caller.merchant_id, change, user_id(caller), caller.user_id, origin)


def switch(caller: Caller, body: SwitchBody, origin: Context) -> Switch:
    """Raises UserNotFound for a caller of another issuer."""
    return Switch(user_id(caller), session_id(caller), body.merchant_id, origin)


def member_change(caller: Caller, target_id: str, roles: Iterable[str] | None, origin: Context) -> MemberChange:
    """Raises IdInvalid."""
    return MemberChange(
        account_id=caller.account_id,
        user_id=ids.decode("usr", target_id),
        roles=None if roles is None else frozenset(roles),
        actor_id=user_id(caller),
        actor=caller.user_id,
        origin=origin,
    )


def invite(caller: Caller, body: InvitationBody, origin: Context) -> Invite:
    return Invite(caller.account_id, body.email, frozenset(body.roles), user_id(caller), caller.user_id, origin)


def invitation_work(caller: Caller, invitation_id: str, origin: Context) -> InvitationWork:
    """Raises IdInvalid."""
    return InvitationWork(caller.account_id, ids.decode(PREFIX, invitation_id), user_id(caller), caller.user_id, origin)


def acceptance(caller: Caller, body: InvitationTokenBody, origin: Context) -> Acceptance:
    """Raises UserNotFound for a caller of another issuer."""
    return Acceptance(body.token, user_id(caller), origin)


def role_work(caller: Caller, origin: Context) -> RoleWork:
    return RoleWork(caller.account_id, user_id(caller), caller.user_id, origin)


def role_change(body: RoleChangeBody) -> RoleChange:
    return RoleChange(body.name, None if body.permissions is None else frozenset(body.permissions))


def status_changes(request: pb.SetAccountStatusRequest) -> list[StatusChange]:
    """Raises RequestInvalid without actor, reason or a status that is known; LimitExceeded."""
    require_at_most(ACCOUNTS_MAX, references=len(request.references))
    actor, reason = request.actor.strip(), request.reason.strip()[:REASON_LENGTH_MAX]
    problems = {name: "is required" for name, text in (("actor", actor), ("reason", reason)) if not text}
    if request.status not in [*AccountStatus]:
        problems["status"] = f"is one of {', '.join(AccountStatus)}"
    if problems:
        raise RequestInvalid("the change of status is incomplete", **problems)
    status, origin = AccountStatus(request.status), context.current()
    return [StatusChange(reference, status, actor, reason, origin) for reference in request.references]


def account_orders(request: pb.CreateAccountsRequest, merchant_id: str) -> list[AccountOrder]:
    """For users of *merchant_id*. Raises RequestInvalid without an actor, LimitExceeded."""
    require_at_most(ACCOUNTS_MAX, accounts=len(request.accounts))
    actor, origin = request.actor.strip(), context.current()
    if not actor:
        raise RequestInvalid("an account needs an actor", actor="is required")
    return [
        AccountOrder(
            MerchantProfile(each.name, each.legal_name or None, each.website or None),
            actor,
            origin,
            owner_email=each.owner_email,
            merchant_id=merchant_id,
        )
        for each in request.accounts
    ]
