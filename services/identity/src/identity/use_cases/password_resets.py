"""Set a new password with a token that was mailed to the account's address."""

from collections.abc import Sequence
from uuid import UUID

from msgspec.structs import replace

from common import context, outbox
from common.clock import Clock
from common.context import Context
from common.database import Database, retried
from common.errors import DomainError
from identity.domain import account_mails, users
from identity.domain.account_mails import AccountMail
from identity.domain.changes import ResetForm
from identity.domain.concealed import Concealed
from identity.domain.errors import AccountTokenInvalid
from identity.domain.users import User
from identity.passwords import Passwords
from identity.store import account_tokens, commands, second_factors
from identity.use_cases.account_mails import owner_of_token, token_hash
from identity.use_cases.batches import only
from identity.use_cases.profiles import Profiles
from identity.use_cases.revocations import end_sessions
from identity.wire import events


class PasswordReset(Concealed, frozen=True):
    token_hash: bytes
    password_hash: str
    origin: Context


class PasswordResets:
    """Looks the token up before it hashes: a wrong token costs no hash."""

    def __init__(self, db: Database, clock: Clock, passwords: Passwords, profiles: Profiles) -> None:
        self._db = db
        self._clock = clock
        self._passwords = passwords
        self._profiles = profiles

    async def reset(self, form: ResetForm) -> None:
        """End every session of the user. Raises AccountTokenInvalid, or UserInvalid, which leaves the token valid."""
        hashed = token_hash(form.token)
        user = await owner_of_token(self._db, self._clock, hashed, AccountMail.RESET)
        others = {user.email, user.profile.name}
        users.check_new_password(form.password, form.confirmation, others)
        await self._passwords.require_strong(form.password, others)
        reset = PasswordReset(hashed, await self._passwords.hash(form.password), context.current())
        await self._profiles.remember(only(await reset_passwords(self._db, self._clock, [reset])))


@retried
async def reset_passwords(db: Database, clock: Clock, resets: Sequence[PasswordReset]) -> list[User | DomainError]:
    """Set the new password of each, end all sessions of the user, delete all tokens that were mailed to them.

    The token's holder reads the mails of the address, so it is verified by this as well. When it was not before,
    a second factor may be of somebody else, who signed up with the address: it is removed. Of a verified address it
    stays, or reading the mails would be enough to get in.
    """
    results: list[User | DomainError] = []
    async with db.begin() as tx:
        hashes = {reset.token_hash for reset in resets}
        owners = {token.user_id for token in (await account_tokens.read(tx, hashes)).values()}
        current_users = await commands.lock_users(tx, owners)
        now = clock.now()
        # Again, now that nobody else uses them.
        tokens = await account_tokens.read(tx, hashes)
        changed: dict[UUID, User] = {}
        newly_verified: dict[UUID, Context] = {}
        audits = []
        for reset in resets:
            token = tokens.get(reset.token_hash)
            user = current_users.get(token.user_id) if token is not None else None
            is_used = user is not None and user.user_id in changed
            if user is None or is_used or not account_mails.is_valid(token, AccountMail.RESET, user, now):
                results.append(AccountTokenInvalid("the token is not valid"))
                continue
            if not user.is_email_verified:
                newly_verified[user.user_id] = reset.origin
            user = replace(users.touched(user, now), password_hash=reset.password_hash, is_email_verified=True)
            current_users[user.user_id] = changed[user.user_id] = user
            audits.append(events.user_audit("user.password_reset", user, reset.origin, now))
            results.append(user)
        removed = await second_factors.read(tx, newly_verified)
        audits += [
            events.user_audit("user.second_factor_removed", changed[user_id], newly_verified[user_id], now)
            for user_id, factor in removed.items()
            if factor.is_confirmed
        ]
        await second_factors.delete(tx, removed)
        await commands.save_users(tx, list(changed.values()))
        await account_tokens.delete(tx, changed, [AccountMail.VERIFY, AccountMail.RESET])
        await end_sessions(tx, changed, "password_reset", now)
        await outbox.append(tx, audits)
    return results
