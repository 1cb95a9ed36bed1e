"""When revocations are read again; what is read, identity's integration tests show with the real one."""

import asyncio
from typing import Any

import grpc
import pytest

from commdesk.identity.v1 import identity_pb2 as pb
from common import revocation_feed
from common.api_keys import ApiKeys
from common.revocation_feed import POLL_AGAIN_SECONDS, POLL_SECONDS, TIMEOUT_SECONDS, RevocationFeed
from common.tokens import Revocations
from common.tokens.revocations import CURRENT_SECONDS_MAX


class Identity:
    """Answers every poll but the second."""

    def __init__(self) -> None:
        self.polls = 0

    async def ListRevocations(self, request: object, timeout: float) -> pb.ListRevocationsResponse:
        self.polls += 1
        if self.polls == 2:
            raise grpc.aio.AioRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, grpc.aio.Metadata(), grpc.aio.Metadata())
        return pb.ListRevocationsResponse(token_life_seconds=900)


async def test_a_response_that_is_lost_is_asked_for_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(revocation_feed.asyncio, "sleep", pause)
    revocations = Revocations()
    with pytest.raises(asyncio.CancelledError):
        identity: Any = Identity()
        await RevocationFeed(revocations, ApiKeys(identity), identity).run()
    assert pauses == [POLL_SECONDS, POLL_AGAIN_SECONDS, POLL_SECONDS]
    assert revocations.is_current


def test_one_lost_response_shuts_nobody_out() -> None:
    """The next one is there while the last one still counts as the present state."""
    assert POLL_SECONDS + TIMEOUT_SECONDS + POLL_AGAIN_SECONDS < CURRENT_SECONDS_MAX
