"""What a publisher makes of the broker's answers, over channels that answer what a test says."""

import asyncio
from collections.abc import Iterator
from typing import Any, cast
from uuid import UUID

import pytest
from aiormq.exceptions import ChannelAccessRefused, ConnectionChannelError

from common.broker import BrokerConnection, Publisher, Receipt
from common.outbox import Outgoing

CONNECTION_CLOSED = ConnectionChannelError("CHANNEL_ERROR - expected 'channel.open'")  # 504
REFUSED = ChannelAccessRefused("ACCESS_REFUSED")


def row(number: int) -> Outgoing:
    return Outgoing(UUID(int=number), "payment.exchange", "payment.success", True, "t", b"")


class Channel:
    """Confirms what it is given; or has its next answer, and is closed then."""

    def __init__(self, answers: Iterator[Exception | None]) -> None:
        self._answers = answers
        self.is_closed = False

    async def get_underlay_channel(self) -> "Channel":
        return self

    async def basic_publish(self, body: bytes, **_: object) -> None:
        answer = next(self._answers, None)
        if answer is not None:
            self.is_closed = True
            raise answer


class Connection:
    """Opens such channels; the answers are those of all of them together."""

    def __init__(self, *answers: Exception | None) -> None:
        self._answers = iter(answers)

    async def channel(self, **_: object) -> Channel:
        return Channel(self._answers)


def publisher(*answers: Exception | None) -> Publisher:
    return Publisher(cast(BrokerConnection, cast(Any, Connection(*answers))))


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it paused, which takes no time here."""
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", pause)
    return paused


async def test_a_row_that_another_takes_along_is_published_again_and_not_refused() -> None:
    innocent = row(1)
    for times in (1, 2):
        receipt = await publisher(*[CONNECTION_CLOSED] * times).publish_singly([innocent])
        assert receipt == Receipt([innocent.envelope_id], [])


async def test_a_row_that_is_taken_along_every_time_is_left_for_later() -> None:
    assert await publisher(*[CONNECTION_CLOSED] * 3).publish_singly([row(1)]) == Receipt([], [])


async def test_rows_that_are_taken_along_together_go_on_one_by_one() -> None:
    """One of them may be the culprit, although its own answer was lost with the connection."""
    culprit, innocent = row(1), row(2)
    answers = (CONNECTION_CLOSED, CONNECTION_CLOSED, REFUSED, None)
    receipt = await publisher(*answers).publish([culprit, innocent])
    assert receipt == Receipt([innocent.envelope_id], [(culprit.envelope_id, str(REFUSED))])
