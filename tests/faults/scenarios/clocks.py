"""N85, P64: clocks that are wrong, of one service or of the database."""

import asyncio

from tests.faults import clocks
from tests.faults.environment import Environment
from tests.faults.scenario import Act, Scenario, add, scenario

SKEW_SECONDS = 600
WRONG_SECONDS = 8.0


def skewed(service: str, seconds: int) -> Act:
    async def act(environment: Environment) -> None:
        # To a clock that is behind, a token of this minute is from the future.
        environment.refusals.add(401)
        await environment.command(service, variables=clocks.skewed(seconds))
        try:
            await asyncio.sleep(WRONG_SECONDS)
        finally:
            await environment.command(service)
            environment.refusals.discard(401)

    return act


for _service in ("payment", "wallet", "webhook-ingest", "identity"):
    for _seconds, _word in ((SKEW_SECONDS, "ahead"), (-SKEW_SECONDS, "behind")):
        add(
            Scenario(
                f"N85-{_service}-{_word}",
                skewed(_service, _seconds),
                f"The clock of {_service} is ten minutes {_word} for {WRONG_SECONDS:g} s, then it is right again.",
                "signatures, tokens and leases may refuse meanwhile; nothing is lost or done twice",
                random=False,
                needs=clocks.why_not,
            )
        )


@scenario(
    "P64-clock-steps-back",
    must="order is by number, no age is negative, nothing is lost",
    random=False,
    needs=clocks.why_not,
)
async def _(environment: Environment) -> None:
    """PostgreSQL is started again with a clock that is five minutes behind, and after 8 s with the right one."""
    await environment.command("postgresql", variables=clocks.skewed(-300))
    try:
        await asyncio.sleep(WRONG_SECONDS)
    finally:
        await environment.command("postgresql")
