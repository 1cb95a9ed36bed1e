"""identity: wire the service together and run it until told to stop; or `identity create-admin --email …`."""

import argparse
import asyncio
import getpass
import os
import sys
from collections.abc import Sequence
from functools import partial

from commdesk.identity.v1.identity_pb2_grpc import add_IdentityServiceServicer_to_server
from common import redis as redis_hint
from common import runtime
from common.clock import SystemClock
from common.database import connect
from common.errors import DomainError
from common.settings import read
from identity import routes, use_cases
from identity.accounts import Accounts
from identity.issuer import Issuer
from identity.passwords import Passwords
from identity.servicer import IdentityServicer
from identity.settings import Settings

FORGET_SECONDS = 3_600
PASSWORD_VARIABLE = "IDENTITY_ADMIN_PASSWORD"  # noqa: S105 - a name


def issuer_of(settings: Settings) -> Issuer:
    return Issuer(
        settings.token_private_key.get_secret_value(),
        settings.token_public_keys,
        settings.token_life,
        settings.token_issuer,
        settings.token_audience,
    )


async def service(settings: Settings) -> None:
    async with (
        Passwords(settings.hashing_threads, settings.hashing_waiting_max) as passwords,
        runtime.start(settings, "identity") as rt,
    ):
        accounts = Accounts(settings, rt.db, rt.redis, rt.clock, passwords, issuer_of(settings))
        for batcher in accounts.batchers:
            rt.batcher(batcher)
        rt.serve_http(routes.routes(accounts))
        rt.serve_grpc((add_IdentityServiceServicer_to_server, IdentityServicer(rt.db)))
        rt.every(FORGET_SECONDS, "forget", partial(use_cases.forget, rt.db, rt.clock))
        rt.story(use_cases.story)
        await rt.until_stopped()


async def create_admin(settings: Settings, email: str, name: str, password: str) -> str:
    """What was done, in one sentence. The audit event leaves with the running service's sweeper."""
    redis = redis_hint.connect(settings.redis_url)
    try:
        async with connect(settings.database_url, service="identity", pool_size=1) as db, Passwords(1, 1) as passwords:
            accounts = Accounts(settings, db, redis, SystemClock(), passwords, issuer_of(settings))
            actor = f"operator:{getpass.getuser()}"
            _, is_new = await accounts.create_admin(email, name, password, actor)
    finally:
        await redis.aclose()
    return f"{email} is an administrator now" + ("" if is_new else "; the password is the one they had")


def main(argv: Sequence[str] | None = None) -> None:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] != ["create-admin"]:
        runtime.main("identity", Settings, service, arguments)
        return
    parser = argparse.ArgumentParser(
        prog="identity create-admin", description=f"The password is read from {PASSWORD_VARIABLE}, or asked for."
    )
    parser.add_argument("--email", required=True)
    parser.add_argument("--name", default="Administrator")
    given = parser.parse_args(arguments[1:])
    settings = read(Settings)
    password = os.environ.get(PASSWORD_VARIABLE) or getpass.getpass("Password: ")
    try:
        sys.stdout.write(asyncio.run(create_admin(settings, given.email, given.name, password)) + "\n")
    except DomainError as error:
        problems = "; ".join(f"{name} {problem}" for name, problem in error.fields.items())
        sys.exit(f"{error}{': ' + problems if problems else ''}")


if __name__ == "__main__":
    main()
