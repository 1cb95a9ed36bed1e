"""Door: HTTP. Decode, call one use case, encode."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from common import context
from common.database import Database
from common.http_server import Reply, Route, body, caller, query, reply, route
from gateways import REQUESTABLE_METHODS
from payment.use_cases import Cancellation, Creation, Verification, reading
from payment.wire import requests, views

PREFIX = "/api/v1/payments"


class Routes:
    """The endpoints, bound to what they need."""

    def __init__(
        self,
        db: Database,
        creation: Creation,
        verification: Verification,
        cancellation: Cancellation,
        *,
        phone_fallback: str,
    ) -> None:
        self._db = db
        self._creation = creation
        self._verification = verification
        self._cancellation = cancellation
        self._phone_fallback = phone_fallback

    async def create(self, request: Request) -> Response:
        wanted = await body(request, requests.CreateBody)
        asked = requests.purchase(
            wanted,
            caller(request),
            context.current(),
            key=requests.idempotency_key(wanted, request.headers.get("idempotency-key")),
            device_id=request.headers.get("x-device-id", ""),
            phone_fallback=self._phone_fallback,
            method_hints=REQUESTABLE_METHODS,
        )
        answer = await self._creation.create(asked.purchase, asked.fingerprint)
        return Reply(answer.body, answer.status, {"idempotent-replayed": "true"} if answer.replayed else None)

    async def verify(self, request: Request) -> Response:
        reference = requests.verified_reference(await body(request, requests.VerifyBody))
        payment = await reading.find(self._db, caller(request), reference)
        return reply(views.verified(await self._verification.verify(payment)))

    async def history(self, request: Request) -> Response:
        asked = query(request, requests.HistoryQuery)
        user_id = request.path_params.get("userId", asked.user_id)
        wanted = requests.filters(asked)
        found = await reading.history(self._db, caller(request), user_id, wanted)
        return reply(views.history(found, wanted.limit))

    async def status(self, request: Request) -> Response:
        return reply(views.payment(await self._found(request, "reference")))

    async def read(self, request: Request) -> Response:
        return reply(views.payment(await self._found(request, "paymentId")))

    async def public(self, request: Request) -> Response:
        return reply(views.public(await reading.find_public(self._db, request.path_params["paymentId"])))

    async def cancel(self, request: Request) -> Response:
        payment = await self._found(request, "paymentId")
        return reply(
            views.payment(
                await self._cancellation.cancel(payment.id, requests.origin(caller(request), context.current()))
            )
        )

    async def _found(self, request: Request, parameter: str) -> Any:
        return await reading.find(self._db, caller(request), request.path_params[parameter])

    def all(self) -> Sequence[Route]:
        """In the order in which they are tried: /history and /status win over /{paymentId}."""
        return (
            route("POST", f"{PREFIX}/create", self.create),
            route("POST", PREFIX, self.create),
            route("POST", f"{PREFIX}/verify", self.verify),
            route("GET", f"{PREFIX}/history", self.history),
            route("GET", f"{PREFIX}/history/{{userId}}", self.history),
            route("GET", f"{PREFIX}/status/{{reference}}", self.status),
            route("GET", f"{PREFIX}/{{paymentId}}", self.read),
            route("GET", f"{PREFIX}/{{paymentId}}/public", self.public, public=True),
            route("POST", f"{PREFIX}/{{paymentId}}/cancel", self.cancel),
        )
