"""The only place that knows the providers: name → adapter, account id → gateway, environment → accounts.

A provider is a row in ADAPTERS and in GatewaySettings.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from redis.asyncio import Redis

from common.guards import SIGNATURE, Guards
from common.setting_checks import rule
from gateways import Adapter, Gateway, GatewayAccount, GatewayCall, Gateways, GatewayUnsupported
from gateways.cashfree.adapter import ADAPTER as CASHFREE
from gateways.cashfree.settings import CashfreeSettings
from gateways.client import GatewayClient
from gateways.razorpay.adapter import ADAPTER as RAZORPAY
from gateways.razorpay.settings import RazorpaySettings
from gateways.shared_turns import SharedTurns
from gateways.verification import WebhookSource

ADAPTERS: Mapping[str, Adapter] = {row.name: row for row in (CASHFREE, RAZORPAY)}


class GatewaySettings(CashfreeSettings, RazorpaySettings):
    """What a service that deals with gateways reads from its environment; its Settings inherit it."""

    @rule()
    def _has_an_account(self) -> Iterator[str]:
        if not self.gateway_accounts:
            yield (
                "no gateway account: CASHFREE_SECRET_KEY, CASHFREE_WEBHOOK_SECRET, RAZORPAY_KEY_SECRET or "
                "RAZORPAY_WEBHOOK_SECRET is needed"
            )

    @property
    def gateway_accounts(self) -> tuple[GatewayAccount, ...]:
        """The platform's own accounts, at most one for each gateway."""
        accounts = (self.cashfree_account(), self.razorpay_account())
        return tuple(account for account in accounts if account is not None)


def adapter(name: str) -> Adapter:
    """Raises GatewayUnsupported."""
    row = ADAPTERS.get(name)
    if row is None:
        raise GatewayUnsupported(f"there is no gateway {name[:32]!r}")
    return row


def webhook_sources(accounts: Iterable[GatewayAccount], guards: Guards) -> Mapping[str, WebhookSource]:
    """Who sends webhooks here, by account id."""
    checks_signature = guards.has(SIGNATURE)
    return {account.id: WebhookSource(account, adapter(account.gateway), checks_signature) for account in accounts}


@asynccontextmanager
async def open_gateways(
    accounts: Iterable[GatewayAccount], on_call: Callable[[GatewayCall], None], redis: Redis | None = None
) -> AsyncIterator[Gateways]:
    """The gateways of *accounts* by account id, each with a connection pool of its own.

    An account's quotas are shared through *redis* by all who call for it.
    """
    async with AsyncExitStack() as clients:
        gateways: dict[str, Gateway] = {}
        for account in accounts:
            row = adapter(account.gateway)
            turns_of = partial(SharedTurns, redis, account.id) if redis else None
            client = await clients.enter_async_context(GatewayClient(account, row.headers(account), on_call, turns_of))
            gateways[account.id] = row.connect(account, client)
        yield gateways
