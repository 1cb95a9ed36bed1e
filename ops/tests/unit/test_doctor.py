"""`commdesk doctor` on a stack of which something is away: what it found besides is still said."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import aio_pika
import aiohttp
import asyncpg
import pytest
from typer.testing import CliRunner

from ops import doctor, invariants, rabbitmq
from ops.__main__ import app
from ops.doctor import Finding

# Nobody listens at port 1.
AWAY: Mapping[str, Any] = {
    "rabbitmq": {
        "vhost": "commdesk",
        "management_url": "http://user:word@127.0.0.1:1",
        "metrics_url": "http://127.0.0.1:1/metrics",
    },
    "retry_schedule_ms": [1000],
}


async def test_rights_that_cannot_be_looked_at_are_a_finding() -> None:
    finding = await doctor._rights(AWAY)
    assert (finding.what, finding.ok) == ("rights at the broker", False)
    assert "ClientConnectorError" in finding.detail


async def test_retries_that_cannot_be_counted_are_a_finding() -> None:
    finding = await doctor._retries(AWAY)
    assert (finding.what, finding.ok) == ("retries on their way home", False)


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(), asyncpg.CannotConnectNowError("starting up"), aiohttp.ServerTimeoutError()]
)
async def test_retries_cannot_be_judged_without_the_inboxes(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    async def in_flight(metrics_url: str) -> int:
        return 3

    async def undelivered(description: Mapping[str, Any]) -> dict[str, int]:
        raise error

    async def at_once(seconds: float) -> None:
        pass

    monkeypatch.setattr(rabbitmq, "dead_letters_in_flight", in_flight)
    monkeypatch.setattr(invariants, "undelivered", undelivered)
    monkeypatch.setattr("asyncio.sleep", at_once)
    finding = await doctor._retries(AWAY)
    assert (finding.ok, finding.detail) == (False, f"not looked at: {type(error).__name__}")


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        asyncpg.InterfaceError("the connection is closed"),
        asyncpg.AdminShutdownError("terminated by an administrator"),
        aio_pika.exceptions.ChannelInvalidStateError("closed"),
        aiohttp.ServerDisconnectedError(),
    ],
)
async def test_what_was_found_before_an_engine_went_away_is_said(error: Exception) -> None:
    async def check() -> AsyncIterator[Finding]:
        yield Finding("one thing", True)
        raise error

    first, last = [finding async for finding in doctor._as_far_as_possible("PostgreSQL", check())]
    assert (first.what, first.ok) == ("one thing", True)
    assert (last.what, last.ok, last.detail) == ("PostgreSQL", False, f"not looked at: {type(error).__name__}")


@pytest.mark.parametrize("arguments", [["payment"], ["--environment-file", "common.env"]])
def test_what_only_a_check_of_the_configuration_takes_is_refused_without_it(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["doctor", *arguments])
    assert result.exit_code == 2
    assert "--config" in result.output
