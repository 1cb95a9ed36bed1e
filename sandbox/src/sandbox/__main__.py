"""python -m sandbox: build the simulator and serve it until SIGTERM."""

import gc
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.cashfree import webhooks
from sandbox.cashfree.afterwards import Afterwards
from sandbox.cashfree.announcer import Announcer
from sandbox.cashfree.api import Api
from sandbox.cashfree.checkout import Checkout
from sandbox.cashfree.control import Control
from sandbox.cashfree.disputes import Disputes
from sandbox.cashfree.errors import Refused
from sandbox.cashfree.idempotency import Idempotency
from sandbox.cashfree.money_control import MoneyControl
from sandbox.cashfree.order_registry import OrderRegistry
from sandbox.cashfree.outcomes import OutcomeDraw
from sandbox.cashfree.quotas import DEFAULTS, Quotas
from sandbox.cashfree.refunds import Refunds
from sandbox.cashfree.settlements import Fees, Settlements
from sandbox.cashfree.simulator import Simulator
from sandbox.delivery import Sender
from sandbox.faults import Faults
from sandbox.settings import Settings, read
from sandbox.timers import Timers

_KEEP_ALIVE_SECONDS = 120  # longer than a client keeps an idle connection, so that it never writes into a closed one
_YOUNG_OBJECTS_MAX = 50_000  # orders are long-lived: collecting them often frees nothing


def application(settings: Settings) -> ASGIApp:
    """The whole simulator as one ASGI application."""
    random = settings.random()
    faults, timers = Faults(random), Timers()
    sender = Sender(
        connections=settings.webhook_connections,
        timeout_seconds=settings.webhook_timeout_ms / 1000,
        retry_seconds=settings.retry_seconds,
        pending_max=settings.webhook_pending_max,
        log_max=settings.webhook_log_max,
        attempt_header=webhooks.ATTEMPT_HEADER,
    )
    announcer = Announcer(settings, sender, faults, random)
    orders, draw = OrderRegistry(settings.orders_max, faults.forget), OutcomeDraw(settings, random)
    simulator = Simulator(orders, draw, announcer, timers)
    refunds = Refunds(orders, draw, announcer, timers)
    quotas, idempotency = Quotas(DEFAULTS if settings.quotas else {}), Idempotency(settings.idempotency_max)
    disputes = Disputes(orders, announcer)
    settlements = Settlements(orders, announcer, Fees(settings.fee_basis_points, settings.fee_tax_basis_points))

    def forget() -> None:
        disputes.clear()
        settlements.clear()

    control = Control(simulator, refunds, announcer, sender, faults, quotas, idempotency, forget)
    money_control = MoneyControl(orders, refunds, disputes, settlements)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with sender:
            yield
            timers.clear()

    afterwards = Afterwards(orders, disputes, settlements)
    api = Api(settings, simulator, refunds, afterwards, faults, quotas, idempotency)
    pages = Starlette(
        routes=[
            Mount("/control", routes=control.routes() + money_control.routes()),
            Mount("/checkout", routes=Checkout(simulator).routes()),
            Route("/health", _health),
        ],
        exception_handlers={
            Refused: _refused,
            msgspec.MsgspecError: _bad_request,
            ValueError: _bad_request,
        },
        lifespan=lifespan,
    )

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        # The gateway's own API is not routed by Starlette: under load, routing would cost more than the order.
        target = api if scope["type"] == "http" and scope["path"].startswith("/pg/") else pages
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
        http="httptools",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
