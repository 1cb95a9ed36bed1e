"""The baselines' bare servers, a process each: `python -m loadtests.baselines.bare_servers http|grpc PORT`."""

import asyncio
import signal
import sys

import grpc.aio
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from loadtests.baselines.server_process import METHOD


async def _echo(request: Request) -> JSONResponse:
    return JSONResponse(await request.json())


def serve_http(port: int) -> None:
    """One small JSON POST, answered as it came."""
    app = Starlette(routes=[Route("/", _echo, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", access_log=False, log_level="error")


async def serve_grpc(port: int) -> None:
    """One unary method that answers the bytes it was asked with."""

    async def echo(request: bytes, _: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return request

    server = grpc.aio.server()
    service, method = METHOD.strip("/").split("/")
    handlers = {method: grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await server.stop(0.5)


def main() -> None:
    kind, port = sys.argv[1], int(sys.argv[2])
    if kind == "http":
        serve_http(port)
    else:
        uvloop.run(serve_grpc(port))


if __name__ == "__main__":
    main()
