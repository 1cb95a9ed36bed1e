"""Fills the memory of revoked accesses: identity announces each, and every replica polls for what it announced.

The announcement makes it fast (milliseconds). The poll is the guarantee: it brings what was missed while this
replica was starting or cut off from the broker, and a missing response is noticed within seconds, which a dead
connection to the broker is not.
"""

import asyncio
import time
from collections.abc import Sequence

import grpc
from loguru import logger

from commdesk.identity.v1 import identity_pb2 as pb
from commdesk.identity.v1.events_pb2 import AccessRevoked
from commdesk.identity.v1.identity_pb2_grpc import IdentityServiceStub
from common.api_keys import ApiKeys
from common.subscriptions import TransientSubscription
from common.tokens import Revocation, Revocations

QUEUE = "access.revoked"
# One poll of every replica costs identity 2 ms. With the next ones it comes twice within CURRENT_SECONDS_MAX, so that
# privileged callers are let in when one response is lost.
POLL_SECONDS = 2.0
POLL_AGAIN_SECONDS = 0.25
TIMEOUT_SECONDS = 1.0
# Each poll reads this much again, because transactions commit in another order than they began.
OVERLAP_MICROS = 30_000_000
PAGE_SIZE = 1_000
# Of one poll: its end must come. The next poll goes on where this one stopped.
PAGES_MAX = 1_000


class RevocationFeed:
    """Keeps *revocations* current by announcements and by polling *stub*.

    What is announced about API keys is dropped from *api_keys* and not polled for: those are asked for anew within
    seconds.
    """

    def __init__(self, revocations: Revocations, api_keys: ApiKeys, stub: IdentityServiceStub) -> None:
        self._revocations = revocations
        self._api_keys = api_keys
        self._stub = stub
        self._since_micros = 0
        self._fails = False
        self.subscription: TransientSubscription[AccessRevoked, AccessRevoked] = TransientSubscription(
            QUEUE, AccessRevoked, _as_it_is, self._add
        )

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            is_read = await self.read()
            await asyncio.sleep(POLL_SECONDS if is_read else POLL_AGAIN_SECONDS)

    async def read(self) -> bool:
        """Poll once; whether every page was read."""
        as_of = time.monotonic()
        try:
            pages = await self._read_pages()
        except grpc.aio.AioRpcError as error:
            if not self._fails:
                logger.warning("revocations cannot be read: {}", error.code().name)
            self._fails = True
            return False
        self._fails = False
        if pages is None:
            logger.warning("more revocations than {} pages", PAGES_MAX)
            return False
        life_seconds, now_micros = pages
        self._since_micros = now_micros - OVERLAP_MICROS
        self._revocations.confirm(as_of, life_seconds)
        return True

    async def _read_pages(self) -> tuple[int, int] | None:
        """The life of access tokens in seconds, and identity's time at the first page; None when pages are left."""
        request = pb.ListRevocationsRequest(since_unix_micros=self._since_micros, limit=PAGE_SIZE)
        now_micros = 0
        for _ in range(PAGES_MAX):
            page = await self._stub.ListRevocations(request, timeout=TIMEOUT_SECONDS)
            now_micros = now_micros or page.now_unix_micros
            self._revocations.add(
                Revocation(each.revoked_unix_micros / 1e6, each.session_id, each.user_id, each.user_version)
                for each in page.revocations
            )
            if len(page.revocations) < PAGE_SIZE:
                return page.token_life_seconds, now_micros
            last = page.revocations[-1]
            request.after_id = last.revocation_id
        self._since_micros = max(self._since_micros, last.revoked_unix_micros - OVERLAP_MICROS)
        return None

    async def _add(self, announced: Sequence[AccessRevoked]) -> None:
        self._revocations.add(_revocation(each) for each in announced if not each.api_key_id)
        if api_key_ids := {each.api_key_id for each in announced if each.api_key_id}:
            self._api_keys.drop(api_key_ids)


def _as_it_is(message: AccessRevoked) -> AccessRevoked:
    return message


def _revocation(message: AccessRevoked) -> Revocation:
    return Revocation(message.not_before_unix_micros / 1e6, message.session_id, message.user_id, message.user_version)
