"""Verify e-mail addresses by the tokens that were mailed to them, and the passwords of those who signed up."""

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
from identity.domain.concealed import Concealed
from identity.domain.errors import AccountTokenInvalid, PasswordWrong
from identity.domain.users import User
from identity.store import account_tokens, commands
from identity.use_cases.account_mails import owner_of_token, token_hash
from identity.use_cases.batches import only
from identity.use_cases.logins import LoginAttempt, forgive, lock_attempts
from identity.use_cases.password_checks import PasswordChecks
from identity.use_cases.profiles import Profiles
from identity.wire import events


class Verification(Concealed, frozen=True):
    """*user* as they were when the password was right."""

    token_hash: bytes
    user: User
    origin: Context


class EmailVerifications:
    """The token says who reads the address's mails, the password who signed up: the address is verified when it is one
    person. The token alone would hand the account to a stranger, who signed up and waited for the owner's click.
    """

    def __init__(self, db: Database, clock: Clock, checks: PasswordChecks, profiles: Profiles) -> None:
        self._db = db
        self._clock = clock
        self._checks = checks
        self._profiles = profiles

    async def verify(self, token: str, password: str) -> None:
        """Raises AccountTokenInvalid, PasswordWrong, LoginThrottled or UserNotFound."""
        hashed = token_hash(token)
        owner = await owner_of_token(self._db, self._clock, hashed, AccountMail.VERIFY)
        user = await self._checks.verify(owner.user_id, owner.merchant_id, password)
        verification = Verification(hashed, user, context.current())
        await self._profiles.remember(only(await verify_addresses(self._db, self._clock, [verification])))


@retried
async def verify_addresses(
    db: Database, clock: Clock, verifications: Sequence[Verification]
) -> list[User | DomainError]:
    """The users whose addresses are verified now; each token is good for once."""
    results: list[User | DomainError] = []
    async with db.begin() as tx:
        attempts = [LoginAttempt(each.user.merchant_id, each.user.email, each.origin) for each in verifications]
        throttles = await lock_attempts(tx, attempts, clock.now())
        current_users = await commands.lock_users(tx, {each.user.user_id for each in verifications})
        now = clock.now()
        # Now that nobody else uses them.
        tokens = await account_tokens.read(tx, {each.token_hash for each in verifications})
        verified: dict[UUID, User] = {}
        audits = []
        for each, attempt in zip(verifications, attempts, strict=True):
            token = tokens.pop(each.token_hash, None)
            user = current_users.get(each.user.user_id)
            if user is None or not account_mails.is_valid(token, AccountMail.VERIFY, user, now):
                results.append(AccountTokenInvalid("the token is not valid"))
                continue
            if user.password_hash != each.user.password_hash:
                results.append(PasswordWrong("the password has changed"))
                continue
            forgive(throttles, attempt)
            if user.user_id not in verified:
                user = replace(users.touched(user, now), is_email_verified=True)
                current_users[user.user_id] = verified[user.user_id] = user
                audits.append(events.user_audit("user.email_verified", user, each.origin, now))
            results.append(user)
        await commands.save_throttles(tx, throttles.values())
        await commands.save_users(tx, list(verified.values()))
        await account_tokens.delete(tx, verified, [AccountMail.VERIFY])
        await outbox.append(tx, audits)
    return results
