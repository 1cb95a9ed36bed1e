"""python -m identity: users, roles, sessions; `identity create-admin --email …` makes an administrator."""

import argparse
import asyncio
import getpass
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from argon2 import Parameters
from msgspec.structs import replace

from commdesk.identity.v1.identity_pb2_grpc import add_IdentityServiceServicer_to_server
from common import runtime
from common.clock import SystemClock
from common.database import connect
from common.errors import DomainError
from common.runtime import Job, Resources, Service
from common.settings import read
from identity import routes
from identity.domain.account_mails import AccountMailPolicy
from identity.domain.invitations import InvitationPolicy
from identity.domain.sessions import SessionPolicy
from identity.domain.step_up import StepUpPolicy
from identity.issuer import Issuer
from identity.passwords import Passwords, parameters
from identity.servicer import IdentityServicer
from identity.settings import Settings
from identity.store.personal_data import PERSONAL_DATA
from identity.use_cases import users
from identity.use_cases.account_mails import AccountMails
from identity.use_cases.api_key_resolution import WRITE_SECONDS, ApiKeyResolution
from identity.use_cases.email_verifications import EmailVerifications
from identity.use_cases.erasures import end_access
from identity.use_cases.known_keys import SEED_SECONDS, KnownKeys
from identity.use_cases.logins import LoginPolicy, Logins
from identity.use_cases.password_changes import PasswordChanges
from identity.use_cases.password_checks import PasswordChecks
from identity.use_cases.password_resets import PasswordResets
from identity.use_cases.profiles import Profiles
from identity.use_cases.second_factors import SecondFactors
from identity.use_cases.sessions import Sessions, delete_expired
from identity.use_cases.sign_ups import NewAdministrator, SignUpPolicy, SignUps, create_administrator
from identity.use_cases.step_ups import StepUps

DELETE_EXPIRED_SECONDS = 3_600
SIGN_UP_WINDOW = timedelta(hours=1)
ACCOUNT_MAIL_WINDOW = timedelta(hours=1)
PASSWORD_VARIABLE = "IDENTITY_ADMIN_PASSWORD"  # noqa: S105 - a name


@asynccontextmanager
async def service(settings: Settings, resources: Resources) -> AsyncIterator[Service]:
    db, redis, clock = resources.db, resources.redis, resources.clock
    cost, waiting_max = hashing_parameters(settings), settings.hashing_waiting_max
    async with (
        Passwords(settings.hashing_threads, waiting_max, cost) as passwords,
        Passwords(settings.sign_up_hashing_threads, waiting_max, cost) as passwords_of_sign_ups,
    ):
        issuer = Issuer(
            settings.token_private_key.get_secret_value(),
            settings.token_public_keys,
            settings.token_expiry,
            settings.token_issuer,
            settings.token_audience,
        )
        sessions = Sessions(db, redis, clock, issuer, session_policy(settings))
        sign_ups = SignUps(db, clock, passwords_of_sign_ups, sign_up_policy(settings))
        logins = Logins(db, clock, passwords, sessions, login_policy(settings))
        profiles = Profiles(db, redis, clock)
        checks = PasswordChecks(db, passwords, logins)
        account_mails = AccountMails(db, clock, account_mail_policy(settings))
        deletion = partial(delete_expired, db, clock, settings.token_expiry)
        api_keys = ApiKeyResolution(db, clock, known_keys=settings.test_merchant)
        servicer = IdentityServicer(
            db, clock, settings.token_expiry, step_up_policy(settings), api_keys, settings.default_merchant_id
        )
        yield Service(
            http=routes.routes(
                db,
                clock,
                sign_ups=sign_ups,
                logins=logins,
                sessions=sessions,
                profiles=profiles,
                email_verifications=EmailVerifications(db, clock, checks, profiles),
                password_changes=PasswordChanges(db, clock, passwords, checks),
                password_resets=PasswordResets(db, clock, passwords, profiles),
                account_mails=account_mails,
                second_factors=SecondFactors(db, clock, checks),
                step_ups=StepUps(db, clock, checks, sessions),
                step_up_policy=step_up_policy(settings),
                invitation_policy=invitation_policy(settings),
                key_set=issuer.key_set,
            ),
            grpc=[(add_IdentityServiceServicer_to_server, servicer)],
            workers=[sessions.workers, sign_ups.workers, logins.workers, profiles.workers, account_mails.workers],
            jobs=[
                Job("delete_expired", DELETE_EXPIRED_SECONDS, deletion),
                Job("write_api_key_uses", WRITE_SECONDS, api_keys.write_uses),
                *([Job("seed_known_keys", SEED_SECONDS, KnownKeys(db, clock).seed)] if settings.test_merchant else []),
            ],
            timeline=users.timeline,
            personal_data=replace(PERSONAL_DATA, before_erasing=partial(end_access, clock)),
        )


def hashing_parameters(settings: Settings) -> Parameters:
    return parameters(settings.hashing_memory_kib, settings.hashing_passes)


def sign_up_policy(settings: Settings) -> SignUpPolicy:
    return SignUpPolicy(
        merchant_id=settings.default_merchant_id,
        test_domains=settings.environment != "production",
        per_address=settings.sign_ups_per_ip_max,
        window=SIGN_UP_WINDOW,
        mails=account_mail_policy(settings),
    )


def account_mail_policy(settings: Settings) -> AccountMailPolicy:
    return AccountMailPolicy(
        merchant_id=settings.default_merchant_id,
        verification_life=timedelta(seconds=settings.email_verification_seconds),
        reset_life=timedelta(seconds=settings.password_reset_seconds),
        per_account=settings.account_mails_max,
        per_address=settings.account_mails_per_ip_max,
        window=ACCOUNT_MAIL_WINDOW,
    )


def invitation_policy(settings: Settings) -> InvitationPolicy:
    return InvitationPolicy(
        merchant_id=settings.default_merchant_id,
        life=timedelta(seconds=settings.invitation_seconds),
        per_address=settings.account_mails_max,
        per_account=settings.invitations_max,
        window=ACCOUNT_MAIL_WINDOW,
    )


def session_policy(settings: Settings) -> SessionPolicy:
    return SessionPolicy(settings.refresh_expiry, settings.session_expiry, settings.sessions_max)


def step_up_policy(settings: Settings) -> StepUpPolicy:
    return StepUpPolicy(timedelta(seconds=settings.step_up_seconds), settings.staff_second_factor == "required")


def login_policy(settings: Settings) -> LoginPolicy:
    return LoginPolicy(
        merchant_id=settings.default_merchant_id,
        per_account=settings.login_attempts_max,
        per_address=settings.login_attempts_per_ip_max,
        per_account_anywhere=settings.login_attempts_free,
        window=settings.login_window,
        sessions=session_policy(settings),
        requires_verified_email=settings.email_verification == "required",
    )


async def create_admin(settings: Settings, email: str, name: str, password: str) -> str:
    """What was done, in one sentence. The audit event leaves with the running service's sweeper."""
    administrator = NewAdministrator(email=email, name=name, password=password, actor=f"operator:{getpass.getuser()}")
    async with (
        connect(settings.database_url, service="identity", sealer=settings.sealer(), pool_size=1) as db,
        Passwords(1, 1, hashing_parameters(settings)) as passwords,
    ):
        _, is_new = await create_administrator(db, SystemClock(), passwords, sign_up_policy(settings), administrator)
    return f"{email} is an administrator now" + ("" if is_new else "; the existing password is unchanged")


def main(argv: Sequence[str] | None = None) -> None:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] != ["create-admin"]:
        runtime.main("identity", Settings, service, arguments)
        return
    parser = argparse.ArgumentParser(
        prog="identity create-admin", description=f"The password is read from {PASSWORD_VARIABLE}, or prompted for."
    )
    parser.add_argument("--email", required=True)
    parser.add_argument("--name", default="Administrator")
    options = parser.parse_args(arguments[1:])
    settings = read(Settings)
    password = os.environ.get(PASSWORD_VARIABLE) or getpass.getpass("Password: ")
    try:
        sys.stdout.write(asyncio.run(create_admin(settings, options.email, options.name, password)) + "\n")
    except DomainError as error:
        problems = "; ".join(f"{name} {problem}" for name, problem in error.fields.items())
        sys.exit(f"{error}{': ' + problems if problems else ''}")


if __name__ == "__main__":
    main()
