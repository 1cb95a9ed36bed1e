"""Sign up, and administrators from the command line."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from common import context, ids, outbox
from common.batching import Batcher
from common.client_addresses import client_network
from common.clock import Clock
from common.context import Context
from common.database import Database, retried
from common.errors import DomainError
from common.runtime import Workers
from identity.domain import throttles, users
from identity.domain.account_mails import AccountMail, AccountMailPolicy
from identity.domain.changes import AccessChange
from identity.domain.concealed import Concealed
from identity.domain.errors import SignUpsThrottled
from identity.domain.users import ADMIN, Access, Profile, SignUpForm, Status, User
from identity.passwords import Passwords
from identity.store import commands, queries
from identity.use_cases.access import change_access
from identity.use_cases.account_mails import announce, mails_key
from identity.use_cases.batches import only
from identity.use_cases.logins import throttle_key
from identity.wire import events

SELF = "self"


class SignUpPolicy(Struct, frozen=True):
    """Whose users sign up, whether with addresses under .test, and how many from one address within *window*."""

    merchant_id: str
    test_domains: bool
    per_address: int
    window: timedelta
    mails: AccountMailPolicy


class SignUp(Concealed, frozen=True):
    """A new user; *granted_by* says who decided on the roles, *is_mailed* whether the address may get a mail."""

    user: User
    origin: Context
    granted_by: str = SELF
    is_mailed: bool = True


class SignUpCount(Struct, frozen=True):
    """A sign-up to be counted: under the client's address, and under the address that is mailed."""

    client_key: bytes
    mails_key: bytes


class NewAdministrator(Concealed, frozen=True):
    """What an operator enters; *actor* is who that is."""

    email: str
    name: str
    password: str
    actor: str


class SignUps:
    """Signs users up: the password is hashed outside the transaction, those who come together share one."""

    def __init__(self, db: Database, clock: Clock, passwords: Passwords, policy: SignUpPolicy) -> None:
        self._clock = clock
        self._passwords = passwords
        self._policy = policy
        self._counts: Batcher[SignUpCount, bool] = Batcher(
            partial(count_sign_ups, db, clock, policy), name="sign-up-count"
        )
        self._batcher: Batcher[SignUp, User | None] = Batcher(
            partial(sign_up_users, db, clock, policy.mails), name="sign-up"
        )
        self.workers = Workers(batchers=(self._counts, self._batcher))

    async def sign_up(self, form: SignUpForm) -> SignUpForm:
        """What was entered, as it is stored. Raises UserInvalid, RoleNotSelfService or SignUpsThrottled.

        The address may be another user's: that user is mailed, and the answer is the same, after the same
        work.
        """
        form = users.checked_form(form, test_domains=self._policy.test_domains)
        # Before anything that takes long: hashing is what a flood would use up.
        merchant_id = self._policy.merchant_id
        count = SignUpCount(
            throttle_key("sign-up", client_network(context.current().ip)),
            mails_key(AccountMail.EXISTS, merchant_id, form.email),
        )
        is_mailed = await self._counts.submit(count)
        await self._passwords.require_strong(form.password, (form.email, form.profile.name))
        password_hash = await self._passwords.hash(form.password)
        roles = frozenset({form.role})
        user = _new_user(merchant_id, form, password_hash, form.role, roles, self._clock)
        await self._batcher.submit(SignUp(user, context.current(), is_mailed=is_mailed))
        return form


@retried
async def count_sign_ups(
    db: Database, clock: Clock, policy: SignUpPolicy, counts: Sequence[SignUpCount]
) -> list[bool | DomainError]:
    """Whether each may lead to a mail; SignUpsThrottled for one too many from a network address."""
    now = clock.now()
    results: list[bool | DomainError] = []
    async with db.begin() as tx:
        stored = await commands.lock_throttles(tx, {count.client_key for count in counts}, now)

        def is_admitted(key: bytes, limit: int, window: timedelta) -> bool:
            stored[key], allowed = throttles.admit(stored[key], limit, window, now)
            return allowed

        admitted = [is_admitted(count.client_key, policy.per_address, policy.window) for count in counts]
        # What is refused from one client writes no further row, however many addresses it names.
        mails_keys = {count.mails_key for count, allowed in zip(counts, admitted, strict=True) if allowed}
        stored |= await commands.lock_throttles(tx, mails_keys, now)
        for count, allowed in zip(counts, admitted, strict=True):
            if allowed:
                results.append(is_admitted(count.mails_key, policy.mails.per_account, policy.mails.window))
                continue
            refusal = SignUpsThrottled("too many sign-ups from this address")
            refusal.retry_after_seconds = throttles.retry_after_seconds(stored[count.client_key], now)
            results.append(refusal)
        await commands.save_throttles(tx, stored.values())
    return results


@retried
async def sign_up_users(
    db: Database, clock: Clock, policy: AccountMailPolicy, sign_ups: Sequence[SignUp]
) -> list[User | None]:
    """The users who are new; None for those whose e-mail address is taken, also by an earlier one of the same batch.

    A new user is mailed a token that verifies the address; of a taken one the owner is mailed. An operator who makes a
    user vouches for the address.
    """
    async with db.begin() as tx:
        inserted = set()
        for granted_by in sorted({sign_up.granted_by for sign_up in sign_ups}):
            group = [sign_up.user for sign_up in sign_ups if sign_up.granted_by == granted_by]
            inserted |= await commands.insert_users(tx, group, granted_by)
        new = [sign_up for sign_up in sign_ups if sign_up.user.user_id in inserted]
        now = clock.now()
        mailed = [each for each in sign_ups if each.is_mailed and each.granted_by == SELF]
        # Read in any case: a taken address must not take longer.
        owners = await queries.users_by_email(tx, {_address(each.user) for each in mailed})
        mails = [
            (AccountMail.VERIFY, each.user)
            if each.user.user_id in inserted
            else (AccountMail.EXISTS, owners[_address(each.user)])
            for each in mailed
        ]
        await announce(tx, mails, policy, now)
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
    return [sign_up.user if sign_up.user.user_id in inserted else None for sign_up in sign_ups]


def _address(user: User) -> tuple[str, str]:
    return user.merchant_id, user.email.lower()


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
    user = replace(user, is_email_verified=True)
    [new] = await sign_up_users(db, clock, policy.mails, [SignUp(user, Context(), administrator.actor)])
    if new is not None:
        return new, True
    async with db.begin() as tx:
        existing = (await queries.users_by_email(tx, {_address(user)}))[_address(user)]
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
