"""What a request about an account takes from beginning to end: passwords hashed outside transactions, the batched use
cases, the tokens, the hints in Redis. The HTTP door and the command line call it."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from redis.asyncio import Redis

from common import context, ids
from common.batching import Batcher
from common.clock import Clock
from common.context import Context
from common.database import Database
from common.errors import DomainError
from common.redis import hint
from common.tokens import Caller
from identity import domain, use_cases, wire
from identity.domain import Access, Device, Profile, Session, Status, User
from identity.issuer import Issuer, session_of
from identity.passwords import Passwords
from identity.settings import Settings

# Hints: `user:{id}` saves a query, `session:{id}` tells support when somebody logged in last. Nothing rests on them.
PROFILE_SECONDS = 3_600
SESSION_SECONDS = 86_400


class Accounts:
    def __init__(
        self, settings: Settings, db: Database, redis: Redis, clock: Clock, passwords: Passwords, issuer: Issuer
    ) -> None:
        self._settings = settings
        self._db = db
        self._redis = redis
        self._clock = clock
        self._passwords = passwords
        self._issuer = issuer
        limits = use_cases.Limits(
            settings.login_attempts_max, settings.login_attempts_per_ip_max, settings.login_window
        )
        self._sign_ups = _batcher("sign-up", partial(use_cases.sign_up, db, clock))
        self._attempts = _batcher("login-attempt", partial(use_cases.begin_logins, db, clock, limits))
        self._logins = _batcher("login", partial(use_cases.open_sessions, db, clock))
        self._refreshes = _batcher("refresh", partial(use_cases.refresh_sessions, db, clock, settings.refresh_life))
        self._profiles = _batcher("profile", partial(use_cases.change_profiles, db, clock))
        self.batchers = (self._sign_ups, self._attempts, self._logins, self._refreshes, self._profiles)

    @property
    def jwks(self) -> dict[str, Any]:
        return self._issuer.jwks

    async def sign_up(self, body: wire.SignUpBody) -> wire.SessionAnswer:
        """Raises InvalidUser, RoleNotSelfService or EmailTaken."""
        profile = Profile(body.name, body.mobile_number, body.country_code)
        password, confirmation = map(domain.normalised_password, (body.password, body.confirm_password))
        domain.check_new_user(body.email, profile, password, confirmation, body.type)
        hashed = await self._passwords.hash(password)
        user = self._new_user(body.email, profile, hashed, body.type, frozenset({body.type}))
        session = self._new_session(user)
        await self._sign_ups.submit(use_cases.Newcomer(user, session, context.current()))
        await self._hint(user, session)
        return self._answer(user, session)

    async def log_in(self, body: wire.LogInBody) -> wire.SessionAnswer:
        """Raises TooManyLogins, InvalidCredentials (whichever of the two is wrong) or UserInactive."""
        if domain.check_email(body.email) is not None:
            raise domain.InvalidUser("some fields are wrong", email="is not an e-mail address")
        attempt = use_cases.Attempt(self._settings.default_merchant_id, body.email, context.current())
        user: User | None = await self._attempts.submit(attempt)
        password = domain.normalised_password(body.password)
        known = user.password_hash if user is not None else None
        if not await self._passwords.verify(known, password) or user is None:
            raise domain.InvalidCredentials("e-mail address or password are wrong")
        outdated = self._passwords.is_outdated(user.password_hash)
        rehashed = await self._passwords.hash(password) if outdated else None
        session = self._new_session(user)
        user = await self._logins.submit(use_cases.Login(attempt, user, session, rehashed))
        await self._hint(user, session)
        return self._answer(user, session)

    async def refresh(self, refresh_token: str) -> wire.SessionAnswer:
        """Raises RefreshTokenInvalid, RefreshTokenReused or UserInactive."""
        rotation = self._issuer.rotation(refresh_token)
        user, session = await self._refreshes.submit(use_cases.Refresh(rotation, context.current()), key=refresh_token)
        await self._hint(user, session)
        return self._answer(user, session)

    async def log_out(self, caller: Caller, *, everywhere: bool) -> int:
        """End the session of the caller's token, or all of the caller's; how many those were."""
        user_id = _own_id(caller)
        request = use_cases.LogOut(user_id, session_of(caller.token_id), everywhere, context.current())
        [ended] = await use_cases.log_out(self._db, self._clock, [request])
        await hint(self._redis.delete(f"session:{caller.user_id}"), None)
        return ended

    async def profile(self, caller: Caller) -> msgspec.Raw:
        """The caller's own profile, as JSON."""
        key = f"user:{caller.user_id}"
        known = await hint(self._redis.get(key), None)
        if isinstance(known, bytes):
            return msgspec.Raw(known)
        user_id = _own_id(caller)
        user = (await use_cases.users_by_id(self._db, {user_id})).get(user_id)
        if user is None or user.merchant_id != caller.merchant_id:
            raise domain.UserNotFound("there is no profile of this user here")
        shown = msgspec.json.encode(wire.profile_answer(user))
        # Never over what a change has just written: only where there is nothing.
        await hint(self._redis.set(key, shown, ex=PROFILE_SECONDS, nx=True), None)
        return msgspec.Raw(shown)

    async def update(self, caller: Caller, body: wire.UpdateBody) -> wire.ProfileAnswer:
        """Raises InvalidUser or UserNotFound."""
        change = use_cases.ProfileChange(
            _own_id(caller), caller.merchant_id, body.name, body.mobile_number, body.country_code
        )
        return await self._changed(await self._profiles.submit(change))

    async def change_password(self, caller: Caller, body: wire.PasswordBody) -> None:
        """Ends every other session. Raises InvalidUser, PasswordWrong, TooManyLogins or UserNotFound."""
        user_id = _own_id(caller)
        # Guessing the current password with a stolen token is guessing all the same.
        attempt = use_cases.Attempt(caller.merchant_id, caller.email, context.current())
        user: User | None = await self._attempts.submit(attempt)
        current, password, confirmation = map(
            domain.normalised_password, (body.current_password, body.password, body.confirm_password)
        )
        if user is None or user.user_id != user_id:
            raise domain.UserNotFound
        domain.check_new_password(password, confirmation, {user.email, user.profile.name, current})
        if not await self._passwords.verify(user.password_hash, current):
            raise domain.PasswordWrong("the current password is wrong")
        hashed = await self._passwords.hash(password)
        session_id = session_of(caller.token_id)
        change = use_cases.PasswordChange(
            user_id, caller.merchant_id, user.password_hash, hashed, session_id, context.current()
        )
        _one(await use_cases.change_passwords(self._db, self._clock, [change]))

    async def change_access(self, caller: Caller, user_id: str, body: wire.AccessBody) -> wire.ProfileAnswer:
        """An administrator grants roles and switches accounts. Raises RoleUnknown, InvalidUser or UserNotFound."""
        if body.status is not None and body.status not in Status.__members__:
            raise domain.InvalidUser("some fields are wrong", status=f"is one of {', '.join(Status)}")
        change = use_cases.AccessChange(
            ids.decode("usr", user_id),
            caller.merchant_id,
            frozenset(body.roles) if body.roles is not None else None,
            Status(body.status) if body.status is not None else None,
            caller.user_id,
            context.current(),
        )
        return await self._changed(_one(await use_cases.change_access(self._db, self._clock, [change])))

    async def create_admin(self, email: str, name: str, password: str, actor: str) -> tuple[User, bool]:
        """An administrator from the command line: a new user, or a known one who keeps the password they have.

        Returns the user and whether they are new. Raises InvalidUser.
        """
        profile = Profile(name, None, None)
        password = domain.normalised_password(password)
        domain.check_new_user(email, profile, password, password, "USER")
        roles = frozenset({"USER", domain.ADMIN})
        user = self._new_user(email, profile, await self._passwords.hash(password), domain.ADMIN, roles)
        newcomer = use_cases.Newcomer(user, None, Context(), actor)
        try:
            return _one(await use_cases.sign_up(self._db, self._clock, [newcomer])), True
        except domain.EmailTaken:
            known = await use_cases.user_by_email(self._db, user.merchant_id, email)
            change = use_cases.AccessChange(
                known.user_id, user.merchant_id, None, None, actor, Context(), frozenset({domain.ADMIN})
            )
            return _one(await use_cases.change_access(self._db, self._clock, [change])), False

    def _new_user(self, email: str, profile: Profile, password_hash: str, role: str, roles: frozenset[str]) -> User:
        now = self._clock.now()
        access = Access(Status.ACTIVE, roles)
        merchant_id = self._settings.default_merchant_id
        return User(ids.new(), merchant_id, email, password_hash, profile, role, access, False, False, 1, now, now)

    def _new_session(self, user: User) -> Session:
        origin, session_id = context.current(), ids.new()
        token_hash = self._issuer.refresh_hash(session_id, 1)
        device = Device(origin.ip, origin.user_agent)
        return domain.open_session(session_id, user, token_hash, device, self._clock.now(), self._settings.refresh_life)

    def _answer(self, user: User, session: Session) -> wire.SessionAnswer:
        token = self._issuer.access_token(user, session, self._clock.now())
        refresh_token = self._issuer.refresh_token(session.session_id, session.generation)
        return wire.SessionAnswer(token, refresh_token, int(self._issuer.life.total_seconds()), wire.session_user(user))

    async def _hint(self, user: User, session: Session) -> None:
        shown = msgspec.json.encode(wire.session_hint(session))
        await hint(self._redis.set(f"session:{wire.user_id(user)}", shown, ex=SESSION_SECONDS), None)

    async def _changed(self, user: User) -> wire.ProfileAnswer:
        answer = wire.profile_answer(user)
        await hint(self._redis.set(f"user:{answer.id}", msgspec.json.encode(answer), ex=PROFILE_SECONDS), None)
        return answer


def _batcher(name: str, flush: Any) -> Batcher[Any, Any]:
    return Batcher(flush, name=name)


def _own_id(caller: Caller) -> UUID:
    """Raises UserNotFound for a user that another issuer vouches for: there is no account here."""
    try:
        return ids.decode("usr", caller.user_id)
    except ids.InvalidId:
        raise domain.UserNotFound("this user has no account here") from None


def _one(results: list[User | DomainError]) -> User:
    [result] = results
    if isinstance(result, DomainError):
        raise result
    return result
