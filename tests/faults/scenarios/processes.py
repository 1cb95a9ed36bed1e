"""C: processes that die, freeze or are terminated."""

import asyncio
import signal
from collections.abc import AsyncIterator

from common.services import SERVICES
from tests.faults.environment import Environment
from tests.faults.mutate_and_run import arguments, crash_marker
from tests.faults.scenario import Act, Scenario, add, scenario

# Of any one process killed; and of all eight at once, which start side by side on two cores.
ONE_BACK_SECONDS = 15.0
ALL_BACK_SECONDS = 30.0

ONCE = "nothing acknowledged is lost, nothing happens twice, the supervisor brings it back"


async def crash(environment: Environment, service: str, point: str) -> None:
    """Run *service* so that it dies once at a crash point (see mutate_and_run), and normally after that."""
    note = crash_marker(environment.layout.run_dir, point)
    note.unlink(missing_ok=True)
    await environment.command(service, *arguments(service, crash=point))
    for _ in range(300):
        if note.exists():
            break
        await asyncio.sleep(0.2)
    environment.expect(note.exists(), f"{service} dies at {point}")
    await asyncio.sleep(1)
    await environment.until_ready(service)
    await environment.command(service)


@scenario("C1-killed-before-ack", must="the envelope comes again, the inbox makes it a no-op: one grant")
async def _(environment: Environment) -> None:
    """The wallet dies between the commit of a batch and its ack to the broker."""
    await crash(environment, "wallet", "die-before-ack")


@scenario("C2-killed-before-mark", must="the sweeper publishes again, the listeners claim each envelope once")
async def _(environment: Environment) -> None:
    """payment dies after the broker confirmed its announcements and before they are marked as published."""
    await crash(environment, "payment", "die-before-mark")


@scenario("C4-killed-before-answer", must="the same key gets the same bytes; one payment for each key")
async def _(environment: Environment) -> None:
    """payment dies after the commit that brings the gateway's order in and before the create call is answered."""
    await crash(environment, "payment", "die-before-answer")


@scenario("C5-killed-inside-batch", must="all of the batch or nothing; after redelivery each item once")
async def _(environment: Environment) -> None:
    """The wallet dies inside the transaction of a batch, when its transactions are written and its wallets are not."""
    await crash(environment, "wallet", "die-inside-batch")


@scenario("C6-frozen-with-locks", must="its locks are freed in bounded time; others wait, nothing is lost")
async def _(environment: Environment) -> None:
    """The wallet freezes (SIGSTOP) while it works and is let go (SIGCONT) after 15 s: its transaction may be gone."""
    await environment.signal("wallet", signal.SIGSTOP)
    try:
        await asyncio.sleep(15)
    finally:
        await environment.signal("wallet", signal.SIGCONT)


@scenario("C8-told-to-go", must="what is in hand is finished, the rest goes back to its queue; nothing is lost")
async def _(environment: Environment) -> AsyncIterator[None]:
    """SIGTERM to payment, wallet, ledger and webhook-ingest, one after the other, under load."""
    for service in ("payment", "wallet", "ledger", "webhook-ingest"):
        before = environment.state(service).pid
        await environment.signal(service, signal.SIGTERM)
        for _ in range(150):
            if environment.state(service).pid not in (0, before):
                break
            await asyncio.sleep(0.2)
        environment.expect(
            environment.state(service).pid not in (0, before), f"{service} goes within 30 s and comes back"
        )
    yield


def killed(service: str) -> Act:
    async def act(environment: Environment) -> None:
        await environment.kill(service)

    return act


def frozen(service: str) -> Act:
    async def act(environment: Environment) -> None:
        await environment.signal(service, signal.SIGSTOP)
        try:
            await asyncio.sleep(5)
        finally:
            await environment.signal(service, signal.SIGCONT)

    return act


for _service in SERVICES:
    add(
        Scenario(
            f"C-{_service}-killed",
            killed(_service),
            f"SIGKILL to {_service}.",
            ONCE,
            full_rate_seconds_max=ONE_BACK_SECONDS,
        )
    )
for _service in ("payment", "wallet", "webhook-ingest", "ledger"):
    _does = f"{_service} stands still for 5 s (SIGSTOP, SIGCONT)."
    add(Scenario(f"C-{_service}-frozen", frozen(_service), _does, "nothing acknowledged is lost or done twice"))


@scenario("C-all-services-killed", must=ONCE, full_rate_seconds_max=ALL_BACK_SECONDS)
async def _(environment: Environment) -> None:
    """SIGKILL to every service at the same moment."""
    await asyncio.gather(*(environment.kill(name) for name in SERVICES))


@scenario(
    "C-edge-killed",
    must="nobody is answered until it is back; the gateway's webhooks come again",
    full_rate_seconds_max=ONE_BACK_SECONDS,
)
async def _(environment: Environment) -> None:
    """SIGKILL to Traefik."""
    await environment.kill("edge")


@scenario(
    "N-standstill-60s",
    must="every connection is given up and made anew, nobody stays away; nothing acknowledged is lost or done twice",
    random=False,
)
async def _(environment: Environment) -> None:
    """Every process, the engines too, stands still for 60 s, as when the machine beneath is paused or moved."""
    names = [state.name for state in await asyncio.to_thread(environment.stack.supervisor.states)]
    await asyncio.gather(*(environment.signal(name, signal.SIGSTOP) for name in names))
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.gather(*(environment.signal(name, signal.SIGCONT) for name in names))
