"""Add and remove a second factor."""

import base64
import secrets
from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote, urlencode
from uuid import UUID

from msgspec.structs import replace

from common import context, outbox
from common.clock import Clock
from common.database import Database, Tx, retried
from identity.domain import second_factors
from identity.domain.concealed import Concealed
from identity.domain.errors import (
    PasswordWrong,
    SecondFactorExists,
    SecondFactorInvalid,
    SecondFactorNotFound,
    UserNotFound,
)
from identity.domain.second_factors import DIGITS, RECOVERY_CODE_BYTES, RECOVERY_CODES, STEP_SECONDS, SecondFactor
from identity.domain.users import User
from identity.store import commands
from identity.store import second_factors as store
from identity.use_cases.password_checks import PasswordChecks
from identity.wire import events

ISSUER = "CommDesk"


class Enrolment(Concealed, frozen=True):
    """What an authenticator app needs, shown once: the secret in base32, and the same as an `otpauth:` link."""

    secret: str
    url: str


class SecondFactors:
    """A secret is made after the password was given, counts after one of its codes was, and goes with both."""

    def __init__(self, db: Database, clock: Clock, checks: PasswordChecks) -> None:
        self._db = db
        self._clock = clock
        self._checks = checks

    async def enrol(self, user_id: UUID, merchant_id: str, password: str) -> Enrolment:
        """Raises PasswordWrong, LoginThrottled, UserNotFound or SecondFactorExists."""
        user = await self._checks.verify(user_id, merchant_id, password)
        secret = secrets.token_bytes(second_factors.SECRET_BYTES)
        await change_factor(self._db, self._clock, user, lambda factor, now: _enrolled(user, factor, secret, now))
        text = base64.b32encode(secret).decode()
        parameters = urlencode({"secret": text, "issuer": ISSUER, "digits": DIGITS, "period": STEP_SECONDS})
        return Enrolment(text, f"otpauth://totp/{ISSUER}:{quote(user.email)}?{parameters}")

    async def confirm(self, user_id: UUID, merchant_id: str, code: str) -> list[str]:
        """The recovery codes, shown once. A guess counts as one at a login. Raises LoginThrottled, UserNotFound,
        SecondFactorNotFound, SecondFactorExists or SecondFactorInvalid.
        """
        user = await self._checks.count_attempt(user_id, merchant_id)
        codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
        await change_factor(
            self._db,
            self._clock,
            user,
            lambda factor, now: _confirmed(factor, code, codes, now),
            "user.second_factor_added",
        )
        return codes

    async def remove(self, user_id: UUID, merchant_id: str, password: str, code: str) -> None:
        """Raises PasswordWrong, LoginThrottled, UserNotFound, SecondFactorNotFound or SecondFactorInvalid."""
        user = await self._checks.verify(user_id, merchant_id, password)

        def removed(factor: SecondFactor | None, now: datetime) -> None:
            if factor is None:
                raise SecondFactorNotFound("there is no second factor")
            if factor.is_confirmed and second_factors.used(factor, code, now) is None:
                raise SecondFactorInvalid("the code is wrong")

        await change_factor(self._db, self._clock, user, removed, "user.second_factor_removed")


@retried
async def change_factor(
    db: Database,
    clock: Clock,
    user: User,
    change: Callable[[SecondFactor | None, datetime], SecondFactor | None],
    action: str = "",
) -> None:
    """Store what *change* makes of the user's factor, under the user's lock.

    Raises UserNotFound, and PasswordWrong when the password was changed since *user* was read.
    """
    async with db.begin() as tx:
        current = (await commands.lock_users(tx, {user.user_id})).get(user.user_id)
        if current is None or not current.is_active:
            raise UserNotFound
        if current.password_hash != user.password_hash:
            raise PasswordWrong("the password has changed")
        now = clock.now()
        factor = change((await store.read(tx, {user.user_id})).get(user.user_id), now)
        await _store(tx, user.user_id, factor)
        if action:
            await outbox.append(tx, [events.user_audit(action, current, context.current(), now)])


async def _store(tx: Tx, user_id: UUID, factor: SecondFactor | None) -> None:
    if factor is None:
        await store.delete(tx, {user_id})
    else:
        await store.save(tx, [factor])


def _enrolled(user: User, factor: SecondFactor | None, secret: bytes, now: datetime) -> SecondFactor:
    if factor is not None and factor.is_confirmed:
        raise SecondFactorExists("the account has a second factor")
    return SecondFactor(user.user_id, secret, 0, (), now)


def _confirmed(factor: SecondFactor | None, code: str, recovery_codes: list[str], now: datetime) -> SecondFactor:
    if factor is not None and factor.is_confirmed:
        raise SecondFactorExists("the account has a second factor")
    if factor is None or not factor.is_enrolling(now):
        raise SecondFactorNotFound("no second factor was enrolled, or too long ago")
    used = second_factors.used(factor, code, now)
    if used is None:
        raise SecondFactorInvalid("the code is wrong")
    hashed = tuple(second_factors.recovery_hash(each) for each in recovery_codes)
    return replace(used, confirmed_at=now, recovery_hashes=hashed)


def _recovery_code() -> str:
    """16 characters in groups of four: `abcd-efgh-ijkl-mnop`."""
    text = base64.b32encode(secrets.token_bytes(RECOVERY_CODE_BYTES)).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))
