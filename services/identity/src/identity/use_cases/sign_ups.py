"""Sign up, and administrators from the command line."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from msgspec import Struct

from common import context, ids, outbox
from common.batching import Batcher
from common.client_addresses import client_network
from common.clock import Clock
from common.context import Context
from common.database import Database, retried
from common.errors import DomainError
from common.runtime import Workers
from identity.domain import throttles, users
from identity.domain.changes import AccessChange
from identity.domain.concealed import Concealed
from identity.domain.errors import EmailTaken, SignUpsThrottled
from identity.domain.sessions import OpenedSession, Session
from identity.domain.users import ADMIN, Access, Profile, SignUpForm, Status, User
from identity.passwords import Passwords
from identity.store import commands, queries
from identity.use_cases.access import change_access
from identity.use_cases.batches import only
from identity.use_cases.logins import throttle_key
from identity.use_cases.sessions import Sessions
from identity.wire import events

SELF = "self"


class SignUpPolicy(Struct, frozen=True):
    """Whose users sign up, whether with addresses under .test, and how many from one address within *window*."""

    merchant_id: str
    test_domains: bool
    per_address: int
    window: timedelta


class SignUp(Concealed, frozen=True):
    """A new user; *session* is opened along with it, *granted_by* says who decided on the roles."""

    user: User
    session: Session | None
    origin: Context
    granted_by: str = SELF


class NewAdministrator(Concealed, frozen=True):
    """What an operator enters; *actor* is who that is."""

    email: str
    name: str
    password: str
    actor: str


class SignUps:
    """Signs users up: the password is hashed outside the transaction, those who come together share one."""

    def __init__(
        self, db: Database, clock: Clock, passwords: Passwords, sessions: Sessions, policy: SignUpPolicy
    ) -> None:
        self._clock = clock
        self._passwords = passwords
        self._sessions = sessions
        self._policy = policy
        self._attempts: Batcher[bytes, None] = Batcher(partial(count_sign_ups, db, clock, policy), name="sign-up-count")
        self._batcher: Batcher[SignUp, User] = Batcher(partial(sign_up_users, db, clock), name="sign-up")
        self.workers = Workers(batchers=(self._attempts, self._batcher))

    async def sign_up(self, form: SignUpForm) -> OpenedSession:
        """Raises UserInvalid, RoleNotSelfService, SignUpsThrottled or EmailTaken."""
        form = users.checked_form(form, test_domains=self._policy.test_domains)
        # Before anything that takes long: hashing is what a flood would use up.
        await self._attempts.submit(throttle_key("sign-up", client_network(context.current().ip)))
        await self._passwords.require_strong(form.password, (form.email, form.profile.name))
        password_hash = await self._passwords.hash(form.password)
        roles = frozenset({form.role})
        user = _new_user(self._policy.merchant_id, form, password_hash, form.role, roles, self._clock)
        session = self._sessions.new(user)
        await self._batcher.submit(SignUp(user, session, context.current()))
        return await self._sessions.issue(user, session)


@retried
async def count_sign_ups(
    db: Database, clock: Clock, policy: SignUpPolicy, keys: Sequence[bytes]
) -> list[DomainError | None]:
    """Count each sign-up under its network address; SignUpsThrottled for one too many."""
    now = clock.now()
    results: list[DomainError | None] = []
    async with db.begin() as tx:
        stored = await commands.lock_throttles(tx, keys, now)
        for key in keys:
            stored[key], allowed = throttles.admit(stored[key], policy.per_address, policy.window, now)
            refusal = SignUpsThrottled("too many sign-ups from this address")
            refusal.retry_after_seconds = throttles.retry_after_seconds(stored[key], now)
            results.append(None if allowed else refusal)
        await commands.save_throttles(tx, stored.values())
    return results


@retried
async def sign_up_users(db: Database, clock: Clock, sign_ups: Sequence[SignUp]) -> list[User | DomainError]:
    """The users who are new; the others' e-mail addresses are taken, also by an earlier one of the same batch."""
    async with db.begin() as tx:
        inserted = set()
        for granted_by in sorted({sign_up.granted_by for sign_up in sign_ups}):
            group = [sign_up.user for sign_up in sign_ups if sign_up.granted_by == granted_by]
            inserted |= await commands.insert_users(tx, group, granted_by)
        new = [sign_up for sign_up in sign_ups if sign_up.user.user_id in inserted]
        await commands.insert_sessions(tx, [sign_up.session for sign_up in new if sign_up.session])
        now = clock.now()
        await outbox.append(
            tx,
            [
                events.user_audit(
                    "user.signup",
                    sign_up.user,
                    sign_up.origin,
                    now,
                    actor="" if sign_up.granted_by == SELF else sign_up.granted_by,
                    after=events.access_state(sign_up.user),
                )
                for sign_up in new
            ],
        )
    return [
        sign_up.user if sign_up.user.user_id in inserted else EmailTaken("the e-mail address is taken")
        for sign_up in sign_ups
    ]


async def create_administrator(
    db: Database, clock: Clock, passwords: Passwords, policy: SignUpPolicy, administrator: NewAdministrator
) -> tuple[User, bool]:
    """A new user who is an administrator, or an existing one who becomes one and keeps their password.

    Returns the user and whether they are new. Raises UserInvalid.
    """
    password = users.normalised_password(administrator.password)
    profile = Profile(name=administrator.name, mobile_number=None, country_code=None)
    form = users.checked_form(
        SignUpForm(administrator.email, profile, password, password, "USER"), test_domains=policy.test_domains
    )
    await passwords.require_strong(password, (form.email, form.profile.name))
    roles = frozenset({"USER", ADMIN})
    password_hash = await passwords.hash(password)
    user = _new_user(policy.merchant_id, form, password_hash, ADMIN, roles, clock)
    sign_up = SignUp(user, None, Context(), administrator.actor)
    try:
        return only(await sign_up_users(db, clock, [sign_up])), True
    except EmailTaken:
        key = (user.merchant_id, user.email.lower())
        async with db.begin() as tx:
            existing = (await queries.users_by_email(tx, {key}))[key]
        change = AccessChange(
            user_id=existing.user_id,
            merchant_id=existing.merchant_id,
            roles=None,
            status=None,
            actor_id=None,
            actor=administrator.actor,
            origin=Context(),
            add_roles=frozenset({ADMIN}),
        )
        return only(await change_access(db, clock, [change])), False


def _new_user(
    merchant_id: str, form: SignUpForm, password_hash: str, type: str, roles: frozenset[str], clock: Clock
) -> User:
    now = clock.now()
    return User(
        user_id=ids.new(),
        merchant_id=merchant_id,
        email=form.email,
        password_hash=password_hash,
        profile=form.profile,
        type=type,
        access=Access(Status.ACTIVE, roles),
        is_email_verified=False,
        is_mobile_number_verified=False,
        version=1,
        created_at=now,
        updated_at=now,
    )
