"""HTTP connections that a fault can reset."""

import socket
import struct
from asyncio import Transport
from typing import cast

from starlette.types import Receive, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_EXTENSION = "sandbox.connection"
# Closing then drops what is unsent and sends RST.
_NO_LINGER = struct.pack("ii", 1, 0)


class Http(HttpToolsProtocol):
    """uvicorn's own HTTP, with the connection within an application's reach."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {_EXTENSION: {"transport": self.transport}}


async def reset(scope: Scope, receive: Receive) -> None:
    """Reset the connection of a request, and return once it is gone; the application answers nothing after that."""
    transport = cast(Transport, scope["extensions"][_EXTENSION]["transport"])
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass
