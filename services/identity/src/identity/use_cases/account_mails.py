"""Mails about accounts: count the request, answer, then send the mail if there is a reason for one."""

import hashlib
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial

from msgspec import Struct

from common import context, outbox
from common.batching import Batcher
from common.client_addresses import client_network
from common.clock import Clock
from common.context import Context
from common.database import Database, Tx, retried
from common.errors import DomainError
from common.runtime import Workers
from identity.domain import account_mails, throttles, users
from identity.domain.account_mails import AccountMail, AccountMailPolicy, AccountToken, MailedToken
from identity.domain.errors import AccountMailsThrottled, AccountTokenInvalid
from identity.domain.users import User
from identity.store import account_tokens, commands, queries
from identity.use_cases.logins import throttle_key
from identity.wire import events

# Of a token: 43 characters of base64.
TOKEN_BYTES = 32
# What comes faster is refused, for every address alike.
REQUESTS_WAITING_MAX = 512


class MailRequest(Struct, frozen=True):
    """Somebody, from *origin*, asks for a mail to an address."""

    purpose: AccountMail
    merchant_id: str
    email: str
    origin: Context

    @property
    def account_key(self) -> bytes:
        return mails_key(self.purpose, self.merchant_id, self.email)

    @property
    def address_key(self) -> bytes:
        return throttle_key("account-mails-from", client_network(self.origin.ip))


class AccountMails:
    """Answers before it is known whether there is such an account: neither answer nor time tells."""

    def __init__(self, db: Database, clock: Clock, policy: AccountMailPolicy) -> None:
        self._merchant_id = policy.merchant_id
        self._counts: Batcher[MailRequest, None] = Batcher(
            partial(count_requests, db, clock, policy), name="account-mail-count"
        )
        self._requests: Batcher[MailRequest, None] = Batcher(
            partial(send_mails, db, clock, policy), name="account-mail", waiting_max=REQUESTS_WAITING_MAX
        )
        self.workers = Workers(batchers=(self._counts, self._requests))

    async def request(self, purpose: AccountMail, email: str) -> None:
        """Raises UserInvalid, AccountMailsThrottled or Overloaded, each for known and unknown addresses alike."""
        request = MailRequest(purpose, self._merchant_id, users.checked_email(email), context.current())
        await self._counts.submit(request)
        self._requests.offer(request)


@retried
async def count_requests(
    db: Database, clock: Clock, policy: AccountMailPolicy, requests: Sequence[MailRequest]
) -> list[DomainError | None]:
    """Count each under the account that it is about, existing or not, and under the client's address."""
    now = clock.now()
    results: list[DomainError | None] = []
    async with db.begin() as tx:
        stored = await commands.lock_throttles(tx, {request.address_key for request in requests}, now)

        def seconds_to_wait(key: bytes, limit: int) -> int:
            stored[key], allowed = throttles.admit(stored[key], limit, policy.window, now)
            return 0 if allowed else throttles.retry_after_seconds(stored[key], now)

        waits = [seconds_to_wait(request.address_key, policy.per_address) for request in requests]
        # What is refused from one client writes no further row and must not use up the mails of an account.
        admitted = {request.account_key for request, wait in zip(requests, waits, strict=True) if not wait}
        stored |= await commands.lock_throttles(tx, admitted, now)
        for request, wait_of_client in zip(requests, waits, strict=True):
            wait = wait_of_client or seconds_to_wait(request.account_key, policy.per_account)
            results.append(_throttled(wait) if wait else None)
        await commands.save_throttles(tx, stored.values())
    return results


@retried
async def send_mails(
    db: Database, clock: Clock, policy: AccountMailPolicy, requests: Sequence[MailRequest]
) -> list[None]:
    """A token and a mail for each that is due; nothing for the others."""
    async with db.begin() as tx:
        addresses = {(request.merchant_id, request.email.lower()) for request in requests}
        found = await queries.users_by_email(tx, addresses)
        locked = await commands.lock_users(tx, {user.user_id for user in found.values()})
        now = clock.now()
        due: list[tuple[AccountMail, User]] = []
        audits = []
        for request in requests:
            user = found.get((request.merchant_id, request.email.lower()))
            user = locked.get(user.user_id) if user is not None else None
            if user is not None and account_mails.is_due(request.purpose, user):
                due.append((request.purpose, user))
                if request.purpose is AccountMail.RESET:
                    audits.append(
                        events.user_audit("user.password_reset_requested", user, request.origin, now, actor="unknown")
                    )
        await announce(tx, due, policy, now)
        await outbox.append(tx, audits)
    return [None] * len(requests)


async def announce(
    tx: Tx, mails: Collection[tuple[AccountMail, User]], policy: AccountMailPolicy, now: datetime
) -> None:
    """Store the token of each mail to a locked or new user, and announce the mail."""
    messages, tokens = [], []
    for purpose, user in mails:
        mailed = None if purpose is AccountMail.EXISTS else new_token(purpose, user, policy, now)
        if mailed is not None:
            tokens.append(mailed.stored)
        messages.append(events.account_mail(tx.sealer, purpose, user, mailed, now))
    await account_tokens.insert(tx, tokens)
    await outbox.append(tx, messages)


def new_token(purpose: AccountMail, user: User, policy: AccountMailPolicy, now: datetime) -> MailedToken:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    return MailedToken(token, AccountToken(token_hash(token), user.user_id, purpose, now, policy.expiry(purpose, now)))


async def owner_of_token(db: Database, clock: Clock, hashed: bytes, purpose: AccountMail) -> User:
    """To whose address the token was mailed for *purpose*. Raises AccountTokenInvalid."""
    async with db.begin() as tx:
        token = (await account_tokens.read(tx, {hashed})).get(hashed)
        user = (await queries.users_by_id(tx, {token.user_id})).get(token.user_id) if token is not None else None
    if user is None or not account_mails.is_valid(token, purpose, user, clock.now()):
        raise AccountTokenInvalid("the token is not valid")
    return user


def token_hash(token: str) -> bytes:
    """What the database keeps of a token; any text has one."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def mails_key(purpose: AccountMail, merchant_id: str, email: str) -> bytes:
    """What mails of one purpose to one address are counted under, whether there is an account or not."""
    return throttle_key("account-mails", purpose, merchant_id, email.lower())


def _throttled(seconds: int) -> AccountMailsThrottled:
    error = AccountMailsThrottled("too many mails were requested")
    error.retry_after_seconds = seconds
    return error
