"""Random combinations of faults, two at a time, under load; the same seed gives the same combinations."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator

from tests.faults import report, scenario
from tests.faults.environment import Environment
from tests.faults.scenario import SCENARIOS, Outcome, Scenario

APART_SECONDS_MAX = 3.0


def combinations(seed: int) -> Iterator[tuple[float, tuple[Scenario, ...]]]:
    """Endless: how many seconds the faults are apart, and which. Half of the kinds of fault sit out for each seed.

    With all of them at once the rare meetings hide behind the frequent ones.
    """
    dice = random.Random(seed)
    allowed = sorted((each for each in SCENARIOS.values() if each.random), key=lambda each: each.name)
    drawn = dice.sample(allowed, max(2, len(allowed) // 2))
    while True:
        yield round(dice.uniform(0, APART_SECONDS_MAX), 2), tuple(dice.sample(drawn, 2))


async def run(environment: Environment, minutes: float, seed: int) -> list[Outcome]:
    """Combinations until the time is up; the one under way is finished."""
    ends = time.monotonic() + minutes * 60
    outcomes: list[Outcome] = []
    for apart_seconds, chosen in combinations(seed):
        if time.monotonic() > ends:
            return outcomes
        outcomes.append(await scenario.run(environment, combined(apart_seconds, chosen)))
        report.say(environment.progress, outcomes[-1])
        report.write(outcomes, f"minutes={minutes:g} seed={seed}")
    return outcomes


def combined(apart_seconds: float, chosen: tuple[Scenario, ...]) -> Scenario:
    """One scenario in which the others begin *apart_seconds* after one another and overlap as they may."""

    async def act(environment: Environment) -> AsyncIterator[None]:
        async def begin(number: int, each: Scenario) -> AsyncIterator[None] | None:
            await asyncio.sleep(number * apart_seconds)
            return await scenario.begin(environment, each.act)

        begun = await asyncio.gather(*(begin(number, each) for number, each in enumerate(chosen)))
        yield
        for afterwards in begun:
            if afterwards is not None:
                await anext(afterwards, None)

    return Scenario(
        " + ".join(each.name for each in chosen),
        act,
        f"{apart_seconds} s apart: " + " ".join(each.does for each in chosen),
        "; ".join(each.must for each in chosen),
    )
