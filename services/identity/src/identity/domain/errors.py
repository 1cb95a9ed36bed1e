"""What identity refuses, by name."""

from common.errors import (
    Conflict,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)


class UserInvalid(InvalidArgument):
    """Something about the user is not as it must be; `fields` says what."""

    fix = "Correct the fields that are named."


class RoleNotSelfService(PermissionDenied):
    """This role is granted by an administrator only."""

    fix = "Sign up as USER or PROVIDER; an administrator grants other roles."


class RoleUnknown(InvalidArgument):
    """There is no such role."""

    fix = "Use a role of the table of roles."


class CredentialsInvalid(Unauthenticated):
    """E-mail address or password are wrong, or the address is not verified yet; which of them is not said."""

    fix = "Check e-mail address and password; if the account is new, open the link in the mail first."


class SessionNotFound(NotFound):
    """The caller has no open session of this id."""

    fix = "List the sessions for their ids."


class AccountTokenInvalid(InvalidArgument):
    """The token from the mail is unknown, was used, or has expired."""

    fix = "Request another mail and use the newest token."


class AccountMailsThrottled(ResourceExhausted):
    """Too many mails were requested for this e-mail address or from this network address."""

    fix = "Wait for as long as Retry-After says."


class SecondFactorRequired(Unauthenticated):
    """E-mail address and password are right; the account has a second factor, and its code was not sent."""

    fix = "Send the same request again with `code`: of the authenticator app, or a recovery code."


class SecondFactorInvalid(PermissionDenied):
    """The code of the second factor is wrong, or was used before."""

    fix = "Wait for the next code of the authenticator app, or use another recovery code."


class SecondFactorExists(Conflict):
    """The account has a second factor already."""

    fix = "Remove it first."


class SecondFactorNotFound(NotFound):
    """The account has no second factor."""

    fix = "Enrol one first."


class SignUpsThrottled(ResourceExhausted):
    """Too many sign-ups came from this network address."""

    fix = "Wait for as long as Retry-After says."


class PasswordWrong(PermissionDenied):
    """The current password is wrong."""

    fix = "Send the current password."


class UserInactive(PermissionDenied):
    """The account is switched off."""

    fix = "Ask an administrator to activate the account."


class AdministratorIsLast(FailedPrecondition):
    """The merchant would be left without an active administrator."""

    fix = "Make somebody else an administrator first."


class UserNotFound(NotFound):
    """There is no such user in this merchant."""

    fix = "Check the user id."


class LoginThrottled(ResourceExhausted):
    """Too many attempts to log in, for this account from this address or from this address alone."""

    fix = "Wait for as long as Retry-After says."


class RefreshTokenInvalid(Unauthenticated):
    """The refresh token is unknown, has expired or was revoked."""

    fix = "Log in again."


class RefreshTokenReused(RefreshTokenInvalid):
    """A refresh token was used a second time: somebody else may have it, so its session has ended."""

    fix = "Log in again; if you did not do this yourself, change your password."


class ApiKeyNotFound(NotFound):
    """The merchant has no such API key."""

    fix = "List the API keys for their ids."


class ApiKeyRightsExceeded(PermissionDenied):
    """The API key would have, or has, permissions that the caller does not have: nobody gives more than they have."""

    fix = "Name in `permissions` what you may do yourself, or ask an owner of the account."


class ApiKeyEnded(FailedPrecondition):
    """The API key was revoked or has expired, and cannot be changed or rotated any more."""

    fix = "Create a new key."


class ApiKeyLimitReached(FailedPrecondition):
    """The merchant has as many valid API keys as one may have."""

    fix = "Revoke keys that are not used any more."


class MerchantInvalid(InvalidArgument):
    """Something about the merchant is not as it must be; `fields` says what."""

    fix = "Correct the fields that are named."


class MerchantNotFound(NotFound):
    """There is no such merchant, or the caller does not belong to it."""

    fix = "List the merchants that you belong to."


class MerchantSuspended(PermissionDenied):
    """The merchant is suspended."""

    fix = "Ask the platform's support."


class AccountsTooMany(ResourceExhausted):
    """The user belongs to as many accounts as one may."""

    fix = "Leave an account, or use another user."


class MemberNotFound(NotFound):
    """There is no such member in this account."""

    fix = "List the members for their ids."


class MemberExists(Conflict):
    """The address belongs to a member of this account."""

    fix = "Change the member's roles instead."


class MembersTooMany(ResourceExhausted):
    """The account has as many members, open invitations or roles of its own as one may."""

    fix = "Remove what is not needed any more."


class OwnerIsLast(FailedPrecondition):
    """The account would be left without an owner."""

    fix = "Make somebody else an owner first."


class RoleNotGrantable(PermissionDenied):
    """Nobody gives rights that they do not have, and only owners decide about owners."""

    fix = "Ask an owner of the account."


class RoleInvalid(InvalidArgument):
    """The role's name is not as it must be, or is taken."""

    fix = "Choose another name."


class RoleNotFound(NotFound):
    """The account has no role of this id."""

    fix = "List the account's roles for their ids."


class RoleInUse(FailedPrecondition):
    """Members or open invitations have this role."""

    fix = "Give them other roles first."


class PermissionUnknown(InvalidArgument):
    """No such permission can be given to a merchant's members."""

    fix = "Use permissions of docs/reference/permissions.md that merchant roles have."


class InvitationInvalid(InvalidArgument):
    """The invitation is unknown, was used, withdrawn or has expired, or was sent to another address."""

    fix = "Log in with the invited address, or ask for another invitation."


class InvitationNotFound(NotFound):
    """The account has no open invitation of this id."""

    fix = "List the account's invitations for their ids."


class InvitationPending(Conflict):
    """The address has an open invitation to this account."""

    fix = "Send it again, or revoke it first."
