"""HTTP endpoints. They are public: a gateway's signature is its authentication."""

from collections.abc import Mapping
from functools import partial

from common.http_server import Call, Route
from gateways.registry import ADAPTERS
from webhook_ingest.domain import BODY_BYTES_MAX, REFUSALS, WebhookNotStored
from webhook_ingest.gateways.accounts import GatewayAccountsUnavailable
from webhook_ingest.use_cases import Receiver
from webhook_ingest.wire import requests, views
from webhook_ingest.wire.views import StoredWebhookView

PREFIX = "/api/v1/webhooks"


def routes(receiver: Receiver, platform_accounts: Mapping[str, str]) -> list[Route]:
    """*platform_accounts*: gateway name → the id of the platform's own account there."""
    webhook = partial(
        Route,
        "POST",
        answer=StoredWebhookView,
        body=bytes,
        body_bytes_max=BODY_BYTES_MAX,
        public=True,
        rate_limit="webhook",
        errors=(*REFUSALS, WebhookNotStored, GatewayAccountsUnavailable),
    )
    return [
        webhook(
            path=f"{PREFIX}/{gateway}",
            endpoint=partial(receive_platform_webhook, receiver, platform_accounts, gateway),
            operation_id=f"receive{gateway.capitalize()}Webhook",
        )
        for gateway in ADAPTERS
    ] + [webhook(path=f"{PREFIX}/{{gateway}}/{{accountId}}", endpoint=partial(receive_webhook, receiver))]


async def receive_platform_webhook(
    receiver: Receiver, platform_accounts: Mapping[str, str], gateway: str, call: Call[bytes]
) -> StoredWebhookView:
    """Take in a webhook of the platform's own account."""
    account_id = platform_accounts.get(gateway, "")
    return views.stored(await receiver.receive(requests.delivery(gateway, account_id, call)))


async def receive_webhook(receiver: Receiver, call: Call[bytes]) -> StoredWebhookView:
    """Take in a webhook of one gateway account."""
    delivery = requests.delivery(call.path["gateway"], call.path["accountId"], call)
    return views.stored(await receiver.receive(delivery))
