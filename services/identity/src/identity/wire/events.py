"""What identity announces: audit lines, revoked accesses."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from commdesk.common.v1.events_pb2 import AuditRecorded
from commdesk.identity.v1.events_pb2 import AccessRevoked, AccountMailRequested
from common import ids
from common.context import Context
from common.events import audit, head, micros
from common.seals import ACCOUNT_TOKEN, EMAIL, NAME, Sealer
from identity.domain.account_mails import AccountMail, MailedToken
from identity.domain.accounts import Account, Merchant
from identity.domain.api_keys import ApiKey
from identity.domain.invitations import Invitation
from identity.domain.revocations import Revocation
from identity.domain.users import User

SERVICE = "identity"
API_KEY = "apk"


def user_audit(
    action: str,
    user: User,
    origin: Context,
    now: datetime,
    *,
    actor: str = "",
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> AuditRecorded:
    """What was done to a user; by the user, unless *actor* names another."""
    user_id = ids.encode("usr", user.user_id)
    return audit(
        action,
        ("user", user_id),
        service=SERVICE,
        at=now,
        merchant_id=user.merchant_id,
        actor_id=actor or user_id,
        before=before,
        after=after,
        origin=origin,
    )


def account_audit(
    action: str,
    account: Account,
    origin: Context,
    now: datetime,
    actor: str,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> AuditRecorded:
    """What *actor* did to an account, in the audit log of its live environment."""
    return audit(
        action,
        ("account", account.account_id),
        service=SERVICE,
        at=now,
        merchant_id=account.live.merchant_id,
        actor_id=actor,
        before=before,
        after=after,
        origin=origin,
    )


def merchant_audit(
    action: str, merchant: Merchant, origin: Context, now: datetime, actor: str, *, after: Mapping[str, object]
) -> AuditRecorded:
    """What *actor* did to one environment."""
    return audit(
        action,
        ("merchant", merchant.merchant_id),
        service=SERVICE,
        at=now,
        merchant_id=merchant.merchant_id,
        actor_id=actor,
        after=after,
        origin=origin,
    )


def login_throttled(merchant_id: str, key: bytes, origin: Context, now: datetime) -> AuditRecorded:
    """Attempts under *key*, a hash, have to wait."""
    return audit(
        "user.login_throttled",
        ("login_throttle", key.hex()),
        service=SERVICE,
        at=now,
        merchant_id=merchant_id,
        actor_id="unknown",
        origin=origin,
    )


def login_failed(merchant_id: str, user_id: UUID | None, key: bytes, origin: Context, now: datetime) -> AuditRecorded:
    """A refused login, of a user or of an unknown address, which *key*, its hash, stands for."""
    resource = ("user", ids.encode("usr", user_id)) if user_id is not None else ("login_throttle", key.hex())
    return audit(
        "user.login_failed",
        resource,
        service=SERVICE,
        at=now,
        merchant_id=merchant_id,
        actor_id="unknown",
        origin=origin,
    )


def account_mail(
    sealer: Sealer, purpose: AccountMail, user: User, mailed: MailedToken | None, now: datetime
) -> AccountMailRequested:
    """A mail to *user*; its token leaves sealed.

    It names the user when the address is verified. Before that, a stranger may have signed up with the address and
    written the name, and our mail would carry a stranger's text to the owner.
    """
    return AccountMailRequested(
        **head(now),
        merchant_id=user.merchant_id,
        user_id=ids.encode("usr", user.user_id),
        kind=purpose.value,
        email=sealer.seal(EMAIL, user.email),
        name=sealer.seal(NAME, user.profile.name if user.is_email_verified else ""),
        token=sealer.seal(ACCOUNT_TOKEN, mailed.token) if mailed is not None else "",
        expires_unix_micros=micros(mailed.stored.expires_at) if mailed is not None else 0,
    )


def invitation_mail(
    sealer: Sealer, account: Account, invitation: Invitation, token: str, now: datetime
) -> AccountMailRequested:
    """A mail that invites to *account*. Nobody is named: the account's name follows the rule of people's."""
    return AccountMailRequested(
        **head(now),
        merchant_id=account.live.merchant_id,
        kind="invite",
        email=sealer.seal(EMAIL, invitation.email),
        name=sealer.seal(NAME, ""),
        token=sealer.seal(ACCOUNT_TOKEN, token),
        expires_unix_micros=micros(invitation.expires_at),
        account_name=account.name,
    )


def access_revoked(revocation: Revocation) -> AccessRevoked:
    """Every service refuses the tokens of this access from now on."""
    session_id, version = revocation.session_id, revocation.user_version
    return AccessRevoked(
        **head(revocation.revoked_at, revocation.revocation_id),
        merchant_id=revocation.merchant_id,
        session_id=ids.encode("ses", session_id) if session_id is not None else "",
        user_id=ids.encode("usr", revocation.user_id) if version is not None else "",
        user_version=version or 0,
        not_before_unix_micros=micros(revocation.revoked_at),
        reason=revocation.reason,
    )


def api_key_ended(key: ApiKey, reason: str, now: datetime) -> AccessRevoked:
    """Every service drops what it knows of the key: it was revoked, or may do something else from now on."""
    return AccessRevoked(
        **head(now),
        merchant_id=key.merchant_id,
        api_key_id=ids.encode(API_KEY, key.api_key_id),
        not_before_unix_micros=micros(now),
        reason=reason,
    )


def api_key_audit(
    action: str, key: ApiKey, actor: str, origin: Context, now: datetime, *, before: ApiKey | None = None
) -> AuditRecorded:
    """What was done to an API key, and by whom."""
    return audit(
        action,
        ("api_key", ids.encode(API_KEY, key.api_key_id)),
        service=SERVICE,
        at=now,
        merchant_id=key.merchant_id,
        actor_id=actor,
        before=None if before is None else api_key_state(before),
        after=api_key_state(key),
        origin=origin,
    )


def api_key_state(key: ApiKey) -> dict[str, object]:
    limits = key.limits
    return {
        "kind": key.kind,
        "name": key.name,
        "permissions": None if limits.permissions is None else sorted(limits.permissions),
        "origins": limits.origins,
        "networks": limits.networks,
        "expiresAt": limits.expires_at,
        "replaces": None if key.replaces is None else ids.encode(API_KEY, key.replaces),
        "revokedBecause": key.revoked_because,
    }


def access_state(user: User) -> dict[str, object]:
    return {"roles": sorted(user.access.roles), "status": user.access.status.value}
