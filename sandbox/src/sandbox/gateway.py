"""What a simulated gateway gives the process that serves it."""

from collections.abc import Sequence

import msgspec
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from sandbox.delivery import Sender
from sandbox.timers import Timers


class Gateway(msgspec.Struct, frozen=True):
    """The gateway's own *api* serves what starts with *api_path*, but for *page_paths*; *routes* serve the rest."""

    api_path: str
    api: ASGIApp
    routes: Sequence[BaseRoute]
    sender: Sender
    timers: Timers
    page_paths: frozenset[str] = frozenset()

    def answers(self, path: str) -> bool:
        """Whether a path is one of the API's."""
        return path.startswith(self.api_path) and path not in self.page_paths
