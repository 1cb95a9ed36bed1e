"""A: somebody acts on rights that they have lost."""

import asyncio
import os
import secrets
import sys
import time
from typing import Any

from ops import fleet
from tests.faults.environment import Environment
from tests.faults.proxy import NetworkConditions
from tests.faults.scenario import scenario

KNOWN_EVERYWHERE_SECONDS = 5.0
# What an administrator may read or do, in every service that has something for them.
STAFF_ROUTES = ("/api/v1/reconciliation/runs", "/api/v1/reconciliation/cases")


@scenario(
    "A1-revoked-administrator",
    must="five seconds after their dismissal nothing is open to them, though no announcement arrives; others go on",
    random=False,
)
async def _(environment: Environment) -> None:
    """An administrator is dismissed while no service hears the broker; later identity is away too."""
    root, mallory = await _administrator(environment), await _administrator(environment)
    for token in (root["token"], mallory["token"]):
        await _expect_everywhere(environment, token, {200}, "an administrator reads")
    with environment.conditions("rabbitmq", NetworkConditions(black_hole=True)):
        body = {"roles": ["USER"]}
        changed = await environment.fleet.edge("PUT", _access(mallory), body, token=root["token"])
        environment.expect(changed.status == 200, f"the dismissal is accepted (answered {changed.status})")
        dismissed_at = time.monotonic()
        # Identity asks its own rows, so that there not one second is left.
        again = await environment.fleet.edge("PUT", _access(mallory), {"roles": ["ADMIN"]}, token=mallory["token"])
        environment.expect(again.status in (401, 403), f"no way back at once (answered {again.status})")
        await asyncio.sleep(max(0.0, dismissed_at + KNOWN_EVERYWHERE_SECONDS - time.monotonic()))
        await _expect_everywhere(environment, mallory["token"], {401}, "a dismissed administrator is refused")
        await _expect_everywhere(environment, root["token"], {200}, "another administrator goes on")
        await environment.stop("identity")
        await asyncio.sleep(KNOWN_EVERYWHERE_SECONDS)
        await _expect_everywhere(environment, root["token"], {503}, "nobody is staff while identity is away")
        member = environment.spenders[0]
        read = await environment.fleet.edge("GET", "/api/v1/payments/history", token=member.token)
        environment.expect(read.status == 200, f"members go on (answered {read.status})")
    # Not before: a service is ready when it has the broker.
    await environment.start("identity")
    await asyncio.sleep(KNOWN_EVERYWHERE_SECONDS)
    await _expect_everywhere(environment, root["token"], {200}, "staff are let in again")
    await _expect_everywhere(environment, mallory["token"], {401}, "a dismissed administrator stays refused")


def _access(session: dict[str, Any]) -> str:
    return f"/api/v1/users/{session['user']['_id']}/access"


async def _expect_everywhere(environment: Environment, token: str, statuses: set[int], what: str) -> None:
    for path in (*STAFF_ROUTES, "/api/v1/payments/history"):
        answer = await environment.fleet.edge("GET", path, token=token)
        environment.expect(answer.status in statuses, f"{what}: {path} (answered {answer.status})")


async def _administrator(environment: Environment) -> dict[str, Any]:
    """A new one, logged in."""
    email, password = f"root.{secrets.token_hex(6)}@example.com", secrets.token_urlsafe(16)
    variables = {
        **{key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ},
        **fleet.service_environment(environment.layout, environment.stack.credentials, "identity", os.environ),
        "IDENTITY_ADMIN_PASSWORD": password,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "identity", "create-admin", "--email", email),
        env=variables,
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0
    answer = await environment.fleet.edge("POST", "/api/v1/users/login", {"email": email, "password": password})
    session: dict[str, Any] = answer.data
    return session
