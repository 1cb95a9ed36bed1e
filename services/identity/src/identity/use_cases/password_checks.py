"""Verify the password of a user who is signed in; guessing with a stolen token counts as guessing at a login."""

from typing import Final
from uuid import UUID

from common import context
from common.database import Database
from common.errors import DomainError
from identity.domain import users
from identity.domain.errors import LoginThrottled, PasswordWrong, UserNotFound
from identity.domain.users import User
from identity.passwords import HashingOverloaded, Passwords
from identity.use_cases.logins import LoginAttempt, Logins
from identity.use_cases.users import user_of_merchant

# What a use case raises that verifies the caller's password.
PASSWORD_ERRORS: Final[tuple[type[DomainError], ...]] = (PasswordWrong, LoginThrottled, UserNotFound, HashingOverloaded)


class PasswordChecks:
    def __init__(self, db: Database, passwords: Passwords, logins: Logins) -> None:
        self._db = db
        self._passwords = passwords
        self._logins = logins

    async def user(self, user_id: UUID, merchant_id: str) -> User:
        """Raises UserNotFound."""
        async with self._db.begin() as tx:
            return await user_of_merchant(tx, user_id, merchant_id)

    async def count_attempt(self, user_id: UUID, merchant_id: str) -> User:
        """Count a guess at the password or at a code of the user. Raises LoginThrottled or UserNotFound."""
        _, user = await self._counted(user_id, merchant_id)
        return user

    async def verify(self, user_id: UUID, merchant_id: str, password: str) -> User:
        """The user whose *password* is right. Raises PasswordWrong, LoginThrottled or UserNotFound."""
        attempt, counted = await self._counted(user_id, merchant_id)
        if not await self._passwords.verify(counted.password_hash, users.normalised_password(password)):
            self._logins.record_failure(attempt, counted)
            raise PasswordWrong("the current password is wrong")
        return counted

    async def _counted(self, user_id: UUID, merchant_id: str) -> tuple[LoginAttempt, User]:
        user = await self.user(user_id, merchant_id)
        attempt = LoginAttempt(user.merchant_id, user.email, context.current())
        counted = await self._logins.count_attempt(attempt)
        if counted is None or counted.user_id != user.user_id:
            raise UserNotFound
        return attempt, counted
