"""A short run over real engines, and proof that the machine goes red when a guard is taken away.

`make state-machine` draws more (EXAMPLES=, STEPS=).
"""

import asyncio
import base64
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from common import guards
from common.guards import Guard, Guards
from common.testing import free_port
from common.testing.engines import Stack
from common.testing.environment import public_key
from gateways.testing import simulator
from services.payment.tests.integration.world import APP_ID, SECRET, WebhookReceiver
from tests.state_machine.database import scratch_database
from tests.state_machine.fleet import Fleet, open_fleet
from tests.state_machine.machine import InvariantBroken, MoneyMachine

EXAMPLES = int(os.environ.get("EXAMPLES", "6"))
STEPS = int(os.environ.get("STEPS", "15"))
# Each is found within a few.
EXAMPLES_OF_A_CONTROL = 40
_NUMBERS = count(1)


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    """The simulator of the gateway, which decides at once."""
    environment = {
        "CASHFREE_APP_ID": APP_ID,
        "CASHFREE_SECRET_KEY": SECRET,
        "TEST_PROCESSING_DELAY": "0",
        "SANDBOX_REFUND_DELAY_MIN_MS": "0",
        "SANDBOX_REFUND_DELAY_MAX_MS": "1",
        "SANDBOX_WEBHOOK_RETRY_MS": "50",
    }
    with simulator(environment) as url:
        yield url


@contextmanager
def running(request: pytest.FixtureRequest, in_place: Guards) -> Iterator[tuple[Fleet, asyncio.AbstractEventLoop]]:
    """A fleet with these guards, and the loop that it lives in."""
    known: dict[str, Any] = {
        name: request.getfixturevalue(name)
        for name in ("stack", "service_keys", "encryption_key", "redis_url", "token_signer", "access_token")
    }
    stack: Stack = known["stack"]
    keys: dict[str, str] = known["service_keys"]
    sandbox_url: str = request.getfixturevalue("sandbox_url")
    port = free_port()
    receiver = WebhookReceiver(f"http://127.0.0.1:{port}/hook")
    environment = {
        "ENVIRONMENT": "test",
        "RABBITMQ_URL": "amqp://127.0.0.1:1/none",
        "REDIS_URL": known["redis_url"],
        "SERVICE_PUBLIC_KEYS": json.dumps({name: public_key(key) for name, key in keys.items()}),
        "JWT_SECRET": secrets.token_hex(32),
        "JWT_HS256_ENABLED": "true",
        "ENCRYPTION_KEYS": f"t1:{known['encryption_key']}",
        "BLIND_INDEX_KEY": known["encryption_key"],
        "RETRY_SCHEDULE_MS": "100,200,300,400",
        "LEDGER_SIGNING_KEY": base64.b64encode(os.urandom(32)).decode(),
        "CASHFREE_BASE_URL": f"{sandbox_url}/pg",
        "CASHFREE_APP_ID": APP_ID,
        "CASHFREE_SECRET_KEY": SECRET,
        "CASHFREE_NOTIFY_URL": receiver.url,
        "VERIFY_INTERVAL_SECONDS": "0",
        "SETTLEMENT_PAGES_PER_MINUTE": "1000",
        "HTTP_PORT": str(free_port()),
        "GRPC_PORT": str(free_port()),
    }

    async def hook(called: web.Request) -> web.Response:
        receiver.bodies.append(await called.read())
        return web.Response()

    with asyncio.Runner() as runner:
        loop = runner.get_loop()

        async def enter() -> Any:
            application = web.Application()
            application.router.add_post("/hook", hook)
            served = web.AppRunner(application)
            await served.setup()
            await web.TCPSite(served, "127.0.0.1", port).start()
            database = scratch_database(stack, next(_NUMBERS))
            entered = open_fleet(
                await database.__aenter__(),
                environment,
                keys,
                known["access_token"],
                known["token_signer"],
                sandbox_url,
                receiver,
                in_place,
            )
            return served, database, entered, await entered.__aenter__()

        served, database, entered, fleet = runner.run(enter())
        try:
            yield fleet, loop
        finally:

            async def leave() -> None:
                await entered.__aexit__(None, None, None)
                await database.__aexit__(None, None, None)
                await served.cleanup()

            runner.run(leave())


def explore(request: pytest.FixtureRequest, in_place: Guards, examples: int, steps: int, *phases: Phase) -> None:
    """Raises InvariantBroken, or what a step raised."""
    with running(request, in_place) as (fleet, loop):
        machine = type("Machine", (MoneyMachine,), {"fleet": fleet, "loop": loop})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                derandomize="SEED" not in os.environ,
                phases=phases or (Phase.generate,),
                suppress_health_check=list(HealthCheck),
                print_blob=False,
            ),
        )


@pytest.mark.timeout(None if "EXAMPLES" in os.environ else 180)
def test_the_invariants_hold_whatever_happens_in_whatever_order(request: pytest.FixtureRequest) -> None:
    explore(request, Guards.all(), EXAMPLES, STEPS)


@pytest.mark.parametrize("guard", [guards.OPERATION_KEY, guards.OUTBOX], ids=lambda guard: guard.name)
@pytest.mark.timeout(180)
def test_a_missing_guard_is_found(request: pytest.FixtureRequest, guard: Guard) -> None:
    with pytest.raises(BaseException) as found:
        explore(request, Guards.all().without(guard), EXAMPLES_OF_A_CONTROL, STEPS)
    assert _broken(found.value), repr(found.value)


def _broken(error: BaseException) -> bool:
    """Whether an invariant did not hold: the error itself, one of its group, or what it comes from."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(_broken, error.exceptions))
    cause = error.__context__
    return isinstance(error, InvariantBroken) or (cause is not None and _broken(cause))
