"""What is answered about merchants, members, roles and invitations."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from msgspec import Struct

from commdesk.identity.v1 import identity_pb2 as pb
from common import grpc_client, ids
from common.errors import DomainError
from common.events import micros
from common.pages import Page
from common.permissions import TABLE
from identity.domain.accounts import Account, AccountStatus, Environment, Merchant
from identity.domain.invitations import PREFIX, Invitation, InvitationStatus
from identity.domain.memberships import CustomRole, Membership, Seat
from identity.domain.users import User

Status = Literal["ACTIVE", "SUSPENDED"]


class MerchantView(Struct, frozen=True, rename="camel"):
    """One environment of an account: a tenant of its own."""

    merchant_id: str
    account_id: str
    environment: Environment
    status: Status
    name: str
    legal_name: str | None
    website: str | None
    logo_url: str | None
    support_email: str | None
    support_phone: str | None
    created_at: datetime
    updated_at: datetime


class AccountView(Struct, frozen=True, rename="camel"):
    account_id: str
    name: str
    status: AccountStatus
    merchants: list[MerchantView]
    created_at: datetime


class SeatView(Struct, frozen=True, rename="camel"):
    """What a user is in one environment of an account. Tokens for it come from `POST /api/v1/users/switch`."""

    merchant_id: str
    environment: Environment
    account_id: str
    name: str
    roles: list[str]
    status: Status


class MemberView(Struct, frozen=True, rename="camel"):
    user_id: str
    name: str
    email: str
    roles: list[str]
    joined_at: datetime
    updated_at: datetime


class InvitationView(Struct, frozen=True, rename="camel"):
    """*invitedBy* is a user id."""

    invitation_id: str
    email: str
    roles: list[str]
    status: InvitationStatus
    invited_by: str
    created_at: datetime
    expires_at: datetime


class RoleView(Struct, frozen=True, rename="camel"):
    """*roleId* is the name of a role that every account has, or rol_… of one that the account has made."""

    role_id: str
    name: str
    permissions: list[str]
    is_custom: bool


def merchant(merchant: Merchant) -> MerchantView:
    profile = merchant.profile
    return MerchantView(
        merchant_id=merchant.merchant_id,
        account_id=merchant.account_id,
        environment=merchant.environment,
        status=_status(merchant.is_active),
        name=profile.name,
        legal_name=profile.legal_name,
        website=profile.website,
        logo_url=profile.logo_url,
        support_email=profile.support_email,
        support_phone=profile.support_phone,
        created_at=merchant.created_at,
        updated_at=merchant.updated_at,
    )


def account(account: Account) -> AccountView:
    merchants = [merchant(each) for each in account.merchants]
    return AccountView(account.account_id, account.name, account.status, merchants, account.created_at)


def seats(found: Iterable[Seat]) -> list[SeatView]:
    return [
        SeatView(
            merchant_id=seat.merchant_id,
            environment=Environment(seat.environment),
            account_id=seat.account_id,
            name=seat.account_name,
            roles=sorted(seat.roles),
            status=_status(seat.is_active),
        )
        for seat in found
    ]


def member(membership: Membership, user: User) -> MemberView:
    return MemberView(
        user_id=ids.encode("usr", user.user_id),
        name=user.profile.name,
        email=user.email,
        roles=sorted(membership.roles),
        joined_at=membership.created_at,
        updated_at=membership.updated_at,
    )


def members_page(members: Iterable[tuple[Membership, User]]) -> Page[MemberView]:
    """All of them: their number is bounded."""
    return Page([member(membership, user) for membership, user in members], None)


def invitation(invitation: Invitation, now: datetime) -> InvitationView:
    return InvitationView(
        invitation_id=ids.encode(PREFIX, invitation.invitation_id),
        email=invitation.email,
        roles=sorted(invitation.roles),
        status=invitation.status_at(now),
        invited_by=invitation.invited_by,
        created_at=invitation.created_at,
        expires_at=invitation.expires_at,
    )


def invitations_page(invitations: Iterable[Invitation], now: datetime) -> Page[InvitationView]:
    """All of them: their number is bounded."""
    return Page([invitation(each, now) for each in invitations], None)


def role(role: CustomRole) -> RoleView:
    return RoleView(role.role_id, role.name, sorted(role.permissions), True)


def roles_page(custom: Iterable[CustomRole]) -> Page[RoleView]:
    """Those that every account has, then the account's own: their number is bounded."""
    built_in = [RoleView(name, name, sorted(TABLE.of_member({name})), False) for name in TABLE.merchant_roles]
    return Page([*built_in, *(role(each) for each in custom)], None)


def merchant_message(merchant: Merchant) -> pb.Merchant:
    profile = merchant.profile
    return pb.Merchant(
        merchant_id=merchant.merchant_id,
        account_id=merchant.account_id,
        environment=merchant.environment.value,
        status=_status(merchant.is_active),
        name=profile.name,
        legal_name=profile.legal_name or "",
        website=profile.website or "",
        logo_url=profile.logo_url or "",
        support_email=profile.support_email or "",
        support_phone=profile.support_phone or "",
    )


def account_message(account: Account) -> pb.Account:
    return pb.Account(
        account_id=account.account_id,
        name=account.name,
        status=account.status.value,
        merchants=[merchant_message(each) for each in account.merchants],
        created_unix_micros=micros(account.created_at),
    )


def account_result(result: Account | DomainError) -> pb.AccountResult:
    if isinstance(result, DomainError):
        return pb.AccountResult(error=grpc_client.error_message(result))
    return pb.AccountResult(account=account_message(result))


def member_message(membership: Membership, user: User) -> pb.Member:
    user_id = ids.encode("usr", user.user_id)
    return pb.Member(user_id=user_id, email=user.email, name=user.profile.name, roles=sorted(membership.roles))


def _status(is_active: bool) -> Status:
    return "ACTIVE" if is_active else "SUSPENDED"
