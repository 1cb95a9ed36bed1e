"""Change a password."""

from collections.abc import Sequence
from uuid import UUID

from msgspec.structs import replace

from common import context, outbox
from common.clock import Clock
from common.context import Context
from common.database import Database, retried
from common.errors import DomainError
from identity.domain import users
from identity.domain.account_mails import AccountMail
from identity.domain.changes import PasswordForm
from identity.domain.concealed import Concealed
from identity.domain.errors import PasswordWrong, UserNotFound
from identity.domain.users import User
from identity.passwords import Passwords
from identity.store import account_tokens, commands
from identity.use_cases.batches import only
from identity.use_cases.password_checks import PasswordChecks
from identity.use_cases.revocations import end_sessions
from identity.wire import events


class PasswordChange(Concealed, frozen=True):
    """*verified_hash* is the hash that the current password was verified against; *keep* the session that goes on."""

    user_id: UUID
    merchant_id: str
    verified_hash: str
    password_hash: str
    keep: UUID | None
    origin: Context


class PasswordChanges:
    """Verifies and hashes outside the transaction."""

    def __init__(self, db: Database, clock: Clock, passwords: Passwords, checks: PasswordChecks) -> None:
        self._db = db
        self._clock = clock
        self._passwords = passwords
        self._checks = checks

    async def change(self, form: PasswordForm) -> None:
        """End every other session. Raises UserInvalid, PasswordWrong, LoginThrottled or UserNotFound."""
        origin = context.current()
        user = await self._checks.user(form.user_id, form.merchant_id)
        others = {user.email, user.profile.name, form.current_password}
        # Before the guess is counted: a new password that is refused is no guess at the current one.
        users.check_new_password(form.password, form.confirmation, others)
        await self._passwords.require_strong(form.password, others)
        user = await self._checks.verify(form.user_id, form.merchant_id, form.current_password)
        change = PasswordChange(
            user_id=form.user_id,
            merchant_id=form.merchant_id,
            verified_hash=user.password_hash,
            password_hash=await self._passwords.hash(form.password),
            keep=form.session_id,
            origin=origin,
        )
        only(await change_passwords(self._db, self._clock, [change]))


@retried
async def change_passwords(db: Database, clock: Clock, changes: Sequence[PasswordChange]) -> list[User | DomainError]:
    """Set a new password and end every other session of the user."""
    results: list[User | DomainError] = []
    async with db.begin() as tx:
        current_users = await commands.lock_users(tx, {change.user_id for change in changes})
        now = clock.now()
        changed: dict[UUID, User] = {}
        kept: set[UUID] = set()
        audits = []
        for change in changes:
            user = current_users.get(change.user_id)
            if user is None or user.merchant_id != change.merchant_id:
                results.append(UserNotFound())
            elif user.password_hash != change.verified_hash:
                # It was changed while the current password was being verified.
                results.append(PasswordWrong())
            else:
                user = replace(users.touched(user, now), password_hash=change.password_hash)
                current_users[user.user_id] = changed[user.user_id] = user
                if change.keep is not None:
                    kept.add(change.keep)
                audits.append(events.user_audit("user.password_changed", user, change.origin, now))
                results.append(user)
        await commands.save_users(tx, list(changed.values()))
        await account_tokens.delete(tx, changed, [AccountMail.RESET])
        await end_sessions(tx, changed, "password_changed", now, keep=kept)
        await outbox.append(tx, audits)
    return results
