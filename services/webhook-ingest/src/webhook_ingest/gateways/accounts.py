"""Who may send webhooks: the platform's own accounts, and merchants', of which payment tells.

Merchants' accounts are read every few seconds, and once more for one that is not known yet. While payment is away the
last list stands; until the first is there, nobody can say of an account that it does not exist.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

import grpc.aio
from loguru import logger

from commdesk.payment.v1 import payment_pb2 as pb
from commdesk.payment.v1.payment_pb2_grpc import PaymentServiceStub
from common import ids
from common.errors import Unavailable
from common.guards import Guards
from common.ids import IdInvalid
from gateways import GatewayAccount
from gateways.registry import ADAPTERS, webhook_sources
from gateways.verification import WebhookSource

REFRESH_SECONDS: Final = 5
TIMEOUT_SECONDS: Final = 2.0
PAGE_SIZE: Final = 500
PAGES_MAX: Final = 40
# How soon an account that is not known is asked for again: strangers may name as many as they like.
ASK_AGAIN_SECONDS: Final = 1.0


class GatewayAccountsUnavailable(Unavailable):
    """Merchants' accounts cannot be read now, so that it is not known whether there is this one."""

    fix = "Send the webhook again in a moment; check that payment runs."


class WebhookSources:
    """By account id: *platform*, and merchants' accounts, read through *stub*; None where there are only the former."""

    def __init__(
        self, platform: Mapping[str, WebhookSource], guards: Guards, stub: PaymentServiceStub | None = None
    ) -> None:
        self._platform = platform
        self._guards = guards
        self._stub = stub
        self._merchants: Mapping[str, WebhookSource] = {}
        self._is_read = stub is None
        self._fails = False
        self._asked_at = -ASK_AGAIN_SECONDS
        self._asking = asyncio.Lock()

    async def find(self, account_id: str) -> WebhookSource | None:
        """Raises GatewayAccountsUnavailable when it is not known whether there is such an account."""
        source = self._platform.get(account_id) or self._merchants.get(account_id)
        if source is not None or not _is_merchants(account_id):
            return source
        if self._stub is not None and time.monotonic() - self._asked_at >= ASK_AGAIN_SECONDS:
            await self.refresh()
        if not self._is_read:
            raise GatewayAccountsUnavailable("the gateway accounts cannot be read now")
        return self._merchants.get(account_id)

    async def refresh(self) -> None:
        """Read all accounts again; what was known stays when that fails."""
        if self._stub is None:
            return
        async with self._asking:
            self._asked_at = time.monotonic()
            try:
                accounts = await self._read(self._stub)
            except grpc.aio.AioRpcError as error:
                if not self._fails:
                    logger.warning("gateway accounts cannot be read: {}", error.code().name)
                self._fails = True
                return
            self._merchants = webhook_sources(accounts, self._guards)
            self._is_read, self._fails = True, False

    async def _read(self, stub: PaymentServiceStub) -> list[GatewayAccount]:
        accounts: list[GatewayAccount] = []
        request = pb.ListGatewayAccountsRequest(limit=PAGE_SIZE)
        for _ in range(PAGES_MAX):
            page = await stub.ListGatewayAccounts(request, timeout=TIMEOUT_SECONDS)
            accounts += [
                GatewayAccount(
                    id=each.gateway_account_id, gateway=each.gateway, webhook_secrets=(*each.webhook_secrets,)
                )
                for each in page.accounts
                # A gateway that this release does not know yet.
                if each.gateway in ADAPTERS and each.webhook_secrets
            ]
            if len(page.accounts) < PAGE_SIZE:
                break
            request.after_id = page.accounts[-1].gateway_account_id
        return accounts


def _is_merchants(account_id: str) -> bool:
    try:
        ids.decode("gwa", account_id)
    except IdInvalid:
        return False
    return True
