"""What a simulated gateway gives the process that serves it."""

from collections.abc import Sequence

import msgspec
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from sandbox.delivery import Sender
from sandbox.timers import Timers


class Gateway(msgspec.Struct, frozen=True):
    """The gateway's own *api* serves every path that starts with *api_path*, *routes* its pages and its control."""

    api_path: str
    api: ASGIApp
    routes: Sequence[BaseRoute]
    sender: Sender
    timers: Timers
