"""python -m sandbox: build the gateways' simulators and serve them until SIGTERM."""

import gc
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

import sandbox.cashfree.gateway
import sandbox.razorpay.gateway
from sandbox.answers import Refused
from sandbox.connections import Http
from sandbox.settings import Settings, read

_KEEP_ALIVE_SECONDS = 120  # longer than a client keeps an idle connection, so that it never writes into a closed one
_YOUNG_OBJECTS_MAX = 50_000  # orders are long-lived: collecting them often frees nothing


def application(settings: Settings) -> ASGIApp:
    """The whole simulator as one ASGI application."""
    random = settings.random()
    gateways = [it.gateway(settings, random) for it in (sandbox.cashfree.gateway, sandbox.razorpay.gateway)]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as entered:
            for each in gateways:
                await entered.enter_async_context(each.sender)
            yield
            for each in gateways:
                each.timers.clear()

    pages = Starlette(
        routes=[*(route for each in gateways for route in each.routes), Route("/health", _health)],
        exception_handlers={
            Refused: _refused,
            msgspec.MsgspecError: _bad_request,
            ValueError: _bad_request,
        },
        lifespan=lifespan,
    )

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        # A gateway's own API is not routed by Starlette: under load, routing would cost more than the order.
        path = scope["path"] if scope["type"] == "http" else ""
        target = next((each.api for each in gateways if each.answers(path)), pages)
        await target(scope, receive, send)

    return dispatch


async def _health(_: Request) -> Response:
    return Response(b'{"status":"ok"}', media_type="application/json")


async def _refused(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, Refused)
    return Response(problem.body(), problem.status, media_type="application/json")


async def _bad_request(_: Request, problem: Exception) -> Response:
    return Response(msgspec.json.encode({"message": str(problem)}), 400, media_type="application/json")


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    settings = read(os.environ)
    app = application(settings)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn drains first, then raises the signal
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS_MAX, 1_000, 1_000)
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=Http,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
