"""The HTTP door. It is public: a gateway's signature is its authentication."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from common.http_server import Route, raw_body, reply, route
from webhook_ingest import wire
from webhook_ingest.domain import BODY_BYTES_MAX
from webhook_ingest.use_cases import Receiver


def routes(receiver: Receiver) -> Sequence[Route]:
    async def cashfree(request: Request) -> Response:
        body = await raw_body(request, BODY_BYTES_MAX)
        stored = await receiver.receive(wire.delivery("cashfree", request, body))
        return reply(wire.stored_json(stored))

    return (route("POST", "/api/v1/webhooks/cashfree", cashfree, public=True),)
