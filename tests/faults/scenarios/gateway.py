"""W25 and neighbours: the gateway does not answer, answers late, or does what it says it did not."""

import asyncio

from tests.faults.environment import Environment
from tests.faults.proxy import NetworkConditions
from tests.faults.scenario import Act, Scenario, add, scenario

RULE_SECONDS = 6.0
NEVER_TWICE = "unknown is looked up by our own id; never a second order"


@scenario("W25-create-timed-out", must=NEVER_TWICE)
async def _(environment: Environment) -> None:
    """A third of the create calls are applied and never answered, a third neither."""
    await environment.gateway(action="apply_then_timeout", operation="create_order", probability=0.3, delay_ms=15_000)
    await environment.gateway(action="timeout", operation="create_order", probability=0.3, delay_ms=15_000)
    await asyncio.sleep(RULE_SECONDS)


@scenario("W25-applied-then-failed", must=NEVER_TWICE)
async def _(environment: Environment) -> None:
    """Half of the create calls are applied and answered 500, half of the reads 503."""
    await environment.gateway(action="apply_then_error", operation="create_order", probability=0.5, status=500)
    await environment.gateway(action="error", operation="get_order", probability=0.5, status=503)
    await asyncio.sleep(RULE_SECONDS)


@scenario("W-gateway-5xx", must="202 until it is known, webhooks wait in the retry tiers, all granted once it is back")
async def _(environment: Environment) -> None:
    """The gateway answers everything with 502 for 6 s."""
    await environment.gateway(action="error", operation="*", status=502)
    await asyncio.sleep(RULE_SECONDS)


@scenario("W-gateway-slow", must="slower, and nothing else")
async def _(environment: Environment) -> None:
    """The gateway takes 1.5 s longer for every answer."""
    await environment.gateway(action="delay", operation="*", delay_ms=1500)
    await asyncio.sleep(RULE_SECONDS)


@scenario("N-gateway-black-hole", must=NEVER_TWICE)
async def _(environment: Environment) -> None:
    """Nothing passes between payment and the gateway for 8 s, then connections are reset."""
    with environment.conditions("sandbox", NetworkConditions(black_hole=True)):
        await asyncio.sleep(8)
        environment.proxies["sandbox"].reset()


@scenario("N-gateway-half-open", must=NEVER_TWICE)
async def _(environment: Environment) -> None:
    """The gateway receives and its answers are lost for 5 s, then connections are reset."""
    with environment.conditions("sandbox", NetworkConditions(deaf=True)):
        await asyncio.sleep(5)
        environment.proxies["sandbox"].reset()


@scenario("N-gateway-resets", must=NEVER_TWICE)
async def _(environment: Environment) -> None:
    """Connections to the gateway are reset every 200 ms for 5 s, whatever is under way."""
    for _ in range(25):
        environment.proxies["sandbox"].reset()
        await asyncio.sleep(0.2)


for _kind, _is in (
    ("html", "a page of HTML"),
    ("truncated", "the first half of its JSON"),
    ("huge", "10 MB"),
    ("gzip_bomb", "64 MB packed into a few kB"),
    ("duplicate_keys", "JSON whose amount and status are said twice"),
):

    def _garbled(kind: str) -> Act:
        async def act(environment: Environment) -> None:
            await environment.gateway(action="garble", operation="*", garbage=kind, probability=0.5)
            await asyncio.sleep(RULE_SECONDS)

        return act

    add(
        Scenario(
            f"W26-{_kind.replace('_', '-')}",
            _garbled(_kind),
            f"Half of the gateway's answers are 200 with {_is}, for {RULE_SECONDS:g} s.",
            "read up to a bound; what cannot be read is unknown, and asked again",
        )
    )
