"""What is the infrastructure's fault, and waited for in place, and what ends with its event."""

import asyncio

import pytest

from common.database import is_transient
from common.errors import Unavailable, revived
from common.metrics import QueueMetrics
from common.outbox import NotAllowed
from common.queue_handler import retry_until_available
from common.seals import SealBroken


async def _attempts(error: Exception) -> int:
    """How often work that fails with *error* is done within a moment; raises *error* when it is not repeated."""
    attempts = 0

    async def work() -> None:
        nonlocal attempts
        attempts += 1
        raise error

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.25):
            await retry_until_available(work, "q", QueueMetrics("q"))
    return attempts


@pytest.mark.parametrize("error", [Unavailable(), ConnectionResetError(), TimeoutError()])
async def test_an_outage_is_waited_for(error: Exception) -> None:
    assert await _attempts(error) >= 2


def test_what_the_contract_does_not_allow_is_no_outage() -> None:
    assert not is_transient(NotAllowed("payment does not announce that"))


@pytest.mark.parametrize(
    "error",
    [
        NotAllowed("payment does not announce that"),
        SealBroken("of a key that was never ours"),
        revived("seal_broken", "Unavailable", "met by a service that was called"),
    ],
    ids=["not allowed", "seal broken", "seal broken elsewhere"],
)
async def test_what_no_repetition_heals_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        await _attempts(error)
