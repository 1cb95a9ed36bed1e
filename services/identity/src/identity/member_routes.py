"""HTTP endpoints of the members of an account, its invitations and its roles."""

from functools import partial

from common.authorization import REFUSALS
from common.http_server import Call, Empty, Route
from common.ids import IdInvalid
from common.pages import Page
from identity.domain.errors import (
    AccountMailsThrottled,
    AccountsTooMany,
    InvitationInvalid,
    InvitationNotFound,
    InvitationPending,
    MemberExists,
    MemberNotFound,
    MembersTooMany,
    MerchantNotFound,
    MerchantSuspended,
    OwnerIsLast,
    PermissionUnknown,
    RoleInUse,
    RoleInvalid,
    RoleNotFound,
    RoleNotGrantable,
    RoleUnknown,
    UserInvalid,
    UserNotFound,
)
from identity.domain.invitations import InvitationPolicy
from identity.domain.memberships import MANAGE_MEMBERS, MANAGE_ROLES
from identity.merchant_routes import Desk
from identity.use_cases import custom_roles, invitations, members
from identity.use_cases.batches import only
from identity.wire import merchant_requests, merchant_views
from identity.wire.merchant_requests import (
    InvitationBody,
    InvitationTokenBody,
    MemberBody,
    RoleBody,
    RoleChangeBody,
)
from identity.wire.merchant_views import InvitationView, MemberView, RoleView

MEMBERS = "/api/v1/members"
INVITATIONS = "/api/v1/invitations"
ROLES = "/api/v1/roles"
_GRANT_ERRORS = (RoleUnknown, RoleNotGrantable, MerchantNotFound, UserNotFound, *REFUSALS)
_ROLE_ERRORS = (RoleInvalid, PermissionUnknown, *_GRANT_ERRORS)


def member_routes(desk: Desk, policy: InvitationPolicy) -> list[Route]:
    read = partial(Route, "GET", permission="members.read")
    member = f"{MEMBERS}/{{userId}}"
    return [
        read(MEMBERS, partial(list_members, desk), answer=Page[MemberView]),
        Route("PUT", member, partial(change_member, desk), permission=MANAGE_MEMBERS, body=MemberBody,
              answer=MemberView, errors=[*_GRANT_ERRORS, IdInvalid, MemberNotFound, OwnerIsLast]),
        Route("DELETE", member, partial(remove_member, desk), permission=MANAGE_MEMBERS,
              answer=Empty, errors=[*_GRANT_ERRORS, IdInvalid, MemberNotFound, OwnerIsLast]),
        *_invitation_routes(desk, policy),
        read(ROLES, partial(list_roles, desk), answer=Page[RoleView]),
        Route("POST", ROLES, partial(create_role, desk), permission=MANAGE_ROLES, body=RoleBody,
              answer=RoleView, status=201, errors=[*_ROLE_ERRORS, MembersTooMany]),
        Route("PUT", f"{ROLES}/{{roleId}}", partial(change_role, desk), permission=MANAGE_ROLES,
              body=RoleChangeBody, answer=RoleView, errors=[*_ROLE_ERRORS, RoleNotFound]),
        Route("DELETE", f"{ROLES}/{{roleId}}", partial(delete_role, desk), permission=MANAGE_ROLES,
              answer=Empty, errors=[MerchantNotFound, UserNotFound, *REFUSALS, RoleNotFound, RoleInUse]),
    ]  # fmt: skip


def _invitation_routes(desk: Desk, policy: InvitationPolicy) -> list[Route]:
    one = f"{INVITATIONS}/{{invitationId}}"
    return [
        Route("GET", INVITATIONS, partial(list_invitations, desk), permission="members.read",
              answer=Page[InvitationView]),
        Route("POST", INVITATIONS, partial(invite_member, desk, policy), permission=MANAGE_MEMBERS,
              body=InvitationBody, answer=InvitationView, status=201,
              errors=[*_GRANT_ERRORS, UserInvalid, MemberExists, MembersTooMany, InvitationPending,
                      AccountMailsThrottled]),
        Route("POST", f"{INVITATIONS}/accept", partial(accept_invitation, desk), permission="invitations.accept",
              rate_limit="sign_in", body=InvitationTokenBody, answer=Empty,
              errors=[InvitationInvalid, MerchantSuspended, AccountsTooMany, UserNotFound]),
        Route("POST", f"{INVITATIONS}/decline", partial(decline_invitation, desk), public=True,
              rate_limit="sign_in", body=InvitationTokenBody, answer=Empty, errors=[InvitationInvalid]),
        Route("POST", f"{one}/resend", partial(resend_invitation, desk, policy), permission=MANAGE_MEMBERS,
              answer=InvitationView, errors=[*_GRANT_ERRORS, IdInvalid, InvitationNotFound, AccountMailsThrottled]),
        Route("DELETE", one, partial(revoke_invitation, desk), permission=MANAGE_MEMBERS, answer=Empty,
              errors=[MerchantNotFound, UserNotFound, *REFUSALS, IdInvalid, InvitationNotFound]),
    ]  # fmt: skip


async def list_members(desk: Desk, call: Call) -> Page[MemberView]:
    """The members of the account that the caller acts for, the oldest first."""
    return merchant_views.members_page(await members.list_members(desk.db, call.caller.account_id))


async def change_member(desk: Desk, call: Call[MemberBody]) -> MemberView:
    """Give a member other roles. The member's tokens from before are refused everywhere within five seconds."""
    await desk.require(call, MANAGE_MEMBERS)
    change = merchant_requests.member_change(call.caller, call.path["userId"], call.body.roles, call.context)
    member = only(await members.change_members(desk.db, desk.clock, [change]))
    assert member is not None
    return merchant_views.member(*await members.find_member(desk.db, member))


async def remove_member(desk: Desk, call: Call) -> Empty:
    """Remove a member. The member's tokens from before are refused everywhere within five seconds."""
    await desk.require(call, MANAGE_MEMBERS)
    change = merchant_requests.member_change(call.caller, call.path["userId"], None, call.context)
    only(await members.change_members(desk.db, desk.clock, [change]))
    return Empty()


async def list_invitations(desk: Desk, call: Call) -> Page[InvitationView]:
    """The invitations that nobody has accepted, declined or revoked, the oldest first."""
    found = await invitations.list_invitations(desk.db, call.caller.account_id)
    return merchant_views.invitations_page(found, desk.clock.now())


async def invite_member(desk: Desk, policy: InvitationPolicy, call: Call[InvitationBody]) -> InvitationView:
    """Invite somebody by mail, who may have signed up or not."""
    await desk.require(call, MANAGE_MEMBERS)
    order = merchant_requests.invite(call.caller, call.body, call.context)
    return merchant_views.invitation(await invitations.invite(desk.db, desk.clock, policy, order), desk.clock.now())


async def accept_invitation(desk: Desk, call: Call[InvitationTokenBody]) -> Empty:
    """Become a member with the token from the mail, as the user of the address that it was sent to."""
    acceptance = merchant_requests.acceptance(call.caller, call.body, call.context)
    only(await invitations.accept_invitations(desk.db, desk.clock, [acceptance]))
    return Empty()


async def decline_invitation(desk: Desk, call: Call[InvitationTokenBody]) -> Empty:
    """Decline with the token from the mail. Nobody has to sign up for that."""
    await invitations.decline_invitation(desk.db, desk.clock, call.body.token, call.context)
    return Empty()


async def resend_invitation(desk: Desk, policy: InvitationPolicy, call: Call) -> InvitationView:
    """Mail another token; the one before is not valid any more, and the time begins anew."""
    await desk.require(call, MANAGE_MEMBERS)
    work = merchant_requests.invitation_work(call.caller, call.path["invitationId"], call.context)
    sent = await invitations.resend_invitation(desk.db, desk.clock, policy, work)
    return merchant_views.invitation(sent, desk.clock.now())


async def revoke_invitation(desk: Desk, call: Call) -> Empty:
    """Withdraw an invitation: its token is not valid any more."""
    await desk.require(call, MANAGE_MEMBERS)
    work = merchant_requests.invitation_work(call.caller, call.path["invitationId"], call.context)
    await invitations.revoke_invitation(desk.db, desk.clock, work)
    return Empty()


async def list_roles(desk: Desk, call: Call) -> Page[RoleView]:
    """The roles that members may have: those of every account, and the account's own."""
    return merchant_views.roles_page(await custom_roles.list_roles(desk.db, call.caller.account_id))


async def create_role(desk: Desk, call: Call[RoleBody]) -> RoleView:
    """Make a role of permissions that the caller has."""
    await desk.require(call, MANAGE_ROLES)
    work = merchant_requests.role_work(call.caller, call.context)
    permissions = frozenset(call.body.permissions)
    return merchant_views.role(await custom_roles.create_role(desk.db, desk.clock, work, call.body.name, permissions))


async def change_role(desk: Desk, call: Call[RoleChangeBody]) -> RoleView:
    """Change a role of the account's own. Its members' tokens from before are refused within five seconds."""
    await desk.require(call, MANAGE_ROLES)
    work = merchant_requests.role_work(call.caller, call.context)
    change = merchant_requests.role_change(call.body)
    return merchant_views.role(await custom_roles.change_role(desk.db, desk.clock, work, call.path["roleId"], change))


async def delete_role(desk: Desk, call: Call) -> Empty:
    """Delete a role of the account's own that nobody has."""
    await desk.require(call, MANAGE_ROLES)
    work = merchant_requests.role_work(call.caller, call.context)
    await custom_roles.delete_role(desk.db, desk.clock, work, call.path["roleId"])
    return Empty()
