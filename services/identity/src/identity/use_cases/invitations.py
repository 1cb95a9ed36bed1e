"""Invitations to an account: send, send again, revoke, accept, decline."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from commdesk.common.v1.events_pb2 import AuditRecorded
from common import ids, outbox
from common.clock import Clock
from common.context import Context
from common.database import Database, Tx, retried
from common.errors import DomainError
from identity.domain import memberships as rules
from identity.domain import throttles, users
from identity.domain.accounts import ACCOUNTS_PER_USER_MAX, Account
from identity.domain.concealed import Concealed
from identity.domain.errors import (
    AccountMailsThrottled,
    AccountsTooMany,
    InvitationInvalid,
    InvitationNotFound,
    InvitationPending,
    MemberExists,
    MembersTooMany,
    MerchantNotFound,
    MerchantSuspended,
    RoleUnknown,
    UserNotFound,
)
from identity.domain.invitations import (
    INVITATIONS_PENDING_MAX,
    PREFIX,
    Invitation,
    InvitationPolicy,
    InvitationStatus,
    Invite,
)
from identity.domain.memberships import CustomRole, Membership
from identity.store import accounts, commands, invitations, memberships, queries
from identity.use_cases.account_mails import TOKEN_BYTES, token_hash
from identity.use_cases.logins import throttle_key
from identity.use_cases.members import revoke_tokens
from identity.wire import events


class InvitationWork(Struct, frozen=True):
    """A member sends an invitation of the account again, or revokes it."""

    account_id: str
    invitation_id: UUID
    actor_id: UUID
    actor: str
    origin: Context


class Acceptance(Concealed, frozen=True):
    """*user_id*, who is signed in, accepts the invitation with this token."""

    token: str
    user_id: UUID
    origin: Context


class _Book(Struct, frozen=True):
    """A locked account and what is decided with."""

    account: Account
    actor: Membership
    members: dict[UUID, Membership]
    roles: dict[str, CustomRole]
    pending: dict[UUID, Invitation]


async def list_invitations(db: Database, account_id: str) -> list[Invitation]:
    """Those that nobody has decided about, the oldest first: their number is bounded."""
    async with db.autocommit() as tx:
        return list((await invitations.pending(tx, {account_id}))[account_id].values())


@retried
async def invite(db: Database, clock: Clock, policy: InvitationPolicy, order: Invite) -> Invitation:
    """Mail an invitation, to a user's address or to one that nobody has signed up with yet.

    Raises UserInvalid, RightsOutdated, RoleUnknown, RoleNotGrantable, MemberExists, MembersTooMany, InvitationPending,
    AccountMailsThrottled.
    """
    email = users.checked_email(order.email)
    async with db.begin() as tx:
        now = clock.now()
        await _count(tx, policy, order.account_id, email, now)
        book = await _open(tx, order.account_id, order.actor_id)
        if not order.roles:
            raise RoleUnknown("a member has at least one role")
        if refusal := rules.grant_refusal(book.actor, (), order.roles, book.roles):
            raise refusal
        address = (policy.merchant_id, email.lower())
        user = (await queries.users_by_email(tx, {address})).get(address)
        if user is not None and user.user_id in book.members:
            raise MemberExists("the address belongs to a member")
        same = [each for each in book.pending.values() if each.email.lower() == email.lower()]
        if any(each.is_open(now) for each in same):
            raise InvitationPending("the address is invited already")
        waiting = sum(each.is_open(now) for each in book.pending.values())
        if waiting >= INVITATIONS_PENDING_MAX or len(book.members) + waiting >= rules.MEMBERS_MAX:
            raise MembersTooMany("the account has as many members or invitations as it may")
        token = secrets.token_urlsafe(TOKEN_BYTES)
        invitation = Invitation(
            invitation_id=ids.new(),
            account_id=order.account_id,
            email=email,
            token_hash=token_hash(token),
            roles=order.roles,
            status=InvitationStatus.PENDING,
            invited_by=order.actor,
            created_at=now,
            updated_at=now,
            expires_at=now + policy.life,
        )
        # One that has expired makes room for it: an address has one at a time.
        await invitations.save(tx, [_closed(each, InvitationStatus.REVOKED, now) for each in same])
        await invitations.save(tx, [invitation])
        await outbox.append(
            tx,
            [
                events.invitation_mail(tx.sealer, book.account, invitation, token, now),
                _audit("member.invited", book.account, invitation, order.origin, now, order.actor),
            ],
        )
    return invitation


@retried
async def resend_invitation(db: Database, clock: Clock, policy: InvitationPolicy, work: InvitationWork) -> Invitation:
    """Mail another token, which makes the one before invalid, for the whole time again.

    Raises RightsOutdated, RoleNotGrantable, InvitationNotFound, AccountMailsThrottled.
    """
    async with db.begin() as tx:
        now = clock.now()
        stored = (await invitations.pending(tx, {work.account_id}))[work.account_id].get(work.invitation_id)
        if stored is None:
            raise InvitationNotFound("there is no such invitation")
        await _count(tx, policy, work.account_id, stored.email, now)
        book = await _open(tx, work.account_id, work.actor_id)
        before = _found(book, work.invitation_id)
        if refusal := rules.grant_refusal(book.actor, (), before.roles, book.roles):
            raise refusal
        token = secrets.token_urlsafe(TOKEN_BYTES)
        invitation = replace(before, token_hash=token_hash(token), updated_at=now, expires_at=now + policy.life)
        await invitations.save(tx, [invitation])
        await outbox.append(
            tx,
            [
                events.invitation_mail(tx.sealer, book.account, invitation, token, now),
                _audit("invitation.resent", book.account, invitation, work.origin, now, work.actor),
            ],
        )
    return invitation


@retried
async def revoke_invitation(db: Database, clock: Clock, work: InvitationWork) -> Invitation:
    """Raises RightsOutdated or InvitationNotFound."""
    async with db.begin() as tx:
        now = clock.now()
        book = await _open(tx, work.account_id, work.actor_id)
        invitation = _closed(_found(book, work.invitation_id), InvitationStatus.REVOKED, now)
        await invitations.save(tx, [invitation])
        await outbox.append(tx, [_audit("invitation.revoked", book.account, invitation, work.origin, now, work.actor)])
    return invitation


@retried
async def accept_invitations(
    db: Database, clock: Clock, acceptances: Sequence[Acceptance]
) -> list[Membership | DomainError]:
    """Make each user a member with the roles of the invitation, once, if it was sent to the user's own address.

    InvitationInvalid, UserNotFound, MerchantSuspended, AccountsTooMany for one that cannot be accepted.
    """
    results: list[Membership | DomainError] = []
    now = clock.now()
    async with db.begin() as tx:
        hashes = {each: token_hash(each.token) for each in acceptances}
        found = await invitations.by_token(tx, set(hashes.values()))
        account_ids = {invitation.account_id for invitation in found.values()}
        locked = await accounts.lock(tx, account_ids)
        people = await commands.lock_users(tx, {each.user_id for each in acceptances})
        # Again, under the lock: it may have been used or revoked meanwhile.
        found = await invitations.by_token(tx, set(hashes.values()))
        members = await memberships.of_accounts(tx, account_ids)
        seats = await memberships.seats(tx, people)
        used: list[Invitation] = []
        joined: dict[tuple[str, UUID], Membership] = {}
        changed: set[UUID] = set()
        audits: list[AuditRecorded] = []
        for each in acceptances:
            user, invitation = people.get(each.user_id), found.get(hashes[each])
            if user is None or not user.is_active:
                results.append(UserNotFound("there is no profile of this user here"))
                continue
            is_theirs = invitation is not None and invitation.email.lower() == user.email.lower()
            if invitation is None or not invitation.is_open(now) or not is_theirs:
                results.append(InvitationInvalid("the invitation is not valid"))
                continue
            account = locked[invitation.account_id]
            if not account.is_active:
                results.append(MerchantSuspended("the merchant is suspended"))
                continue
            of_account = members[account.account_id]
            before = of_account.get(user.user_id)
            if (
                before is None
                and len({seat.account_id for seat in seats.get(user.user_id, ())}) >= ACCOUNTS_PER_USER_MAX
            ):
                results.append(AccountsTooMany(f"a user belongs to at most {ACCOUNTS_PER_USER_MAX} accounts"))
                continue
            if before is None:
                member = Membership(account.account_id, user.user_id, invitation.roles, now, now)
            else:
                member = replace(before, roles=before.roles | invitation.roles, updated_at=now)
                changed.add(user.user_id)
            of_account[user.user_id] = joined[account.account_id, user.user_id] = member
            found[hashes[each]] = closed = _closed(invitation, InvitationStatus.ACCEPTED, now)
            used.append(closed)
            actor = ids.encode("usr", user.user_id)
            audits.append(_audit("member.joined", account, closed, each.origin, now, actor))
            results.append(member)
        await invitations.save(tx, used)
        await memberships.save(tx, list(joined.values()))
        await revoke_tokens(tx, changed, now)
        await outbox.append(tx, audits)
    return results


@retried
async def decline_invitation(db: Database, clock: Clock, token: str, origin: Context) -> None:
    """Who has the mail declines it; no account is needed. Raises InvitationInvalid."""
    hashed = token_hash(token)
    async with db.begin() as tx:
        now = clock.now()
        found = (await invitations.by_token(tx, {hashed})).get(hashed)
        locked = await accounts.lock(tx, {found.account_id} if found is not None else ())
        invitation = (await invitations.by_token(tx, {hashed})).get(hashed)
        if invitation is None or not invitation.is_open(now):
            raise InvitationInvalid("the invitation is not valid")
        closed = _closed(invitation, InvitationStatus.DECLINED, now)
        await invitations.save(tx, [closed])
        await outbox.append(tx, [_audit("member.declined", locked[closed.account_id], closed, origin, now, "unknown")])


async def _count(tx: Tx, policy: InvitationPolicy, account_id: str, email: str, now: datetime) -> None:
    """Count a mail under its address and under the account. Raises AccountMailsThrottled."""
    limits = {
        throttle_key("account-mails", "invite", email.lower()): policy.per_address,
        throttle_key("invitations-of", account_id): policy.per_account,
    }
    stored = await commands.lock_throttles(tx, limits, now)
    for key, limit in limits.items():
        stored[key], allowed = throttles.admit(stored[key], limit, policy.window, now)
        if not allowed:
            error = AccountMailsThrottled("too many invitations were sent")
            error.retry_after_seconds = throttles.retry_after_seconds(stored[key], now)
            raise error
    await commands.save_throttles(tx, stored.values())


async def _open(tx: Tx, account_id: str, actor_id: UUID) -> _Book:
    """The account, locked, for an actor who may invite now. Raises RightsOutdated or MerchantNotFound."""
    account = (await accounts.lock(tx, {account_id})).get(account_id)
    if account is None:
        raise MerchantNotFound("there is no such merchant")
    await commands.lock_users(tx, {actor_id})
    members = (await memberships.of_accounts(tx, {account_id}))[account_id]
    roles = (await memberships.custom_roles(tx, {account_id}))[account_id]
    pending = (await invitations.pending(tx, {account_id}))[account_id]
    actor = members.get(actor_id)
    if refusal := rules.act_refusal(actor, rules.MANAGE_MEMBERS, roles):
        raise refusal
    assert actor is not None
    return _Book(account, actor, members, roles, pending)


def _found(book: _Book, invitation_id: UUID) -> Invitation:
    if invitation_id not in book.pending:
        raise InvitationNotFound("there is no such invitation")
    return book.pending[invitation_id]


def _closed(invitation: Invitation, status: InvitationStatus, now: datetime) -> Invitation:
    return replace(invitation, status=status, updated_at=now)


def _audit(
    action: str, account: Account, invitation: Invitation, origin: Context, now: datetime, actor: str
) -> AuditRecorded:
    after = {"invitationId": ids.encode(PREFIX, invitation.invitation_id), "roles": sorted(invitation.roles)}
    return events.account_audit(action, account, origin, now, actor, after=after)
