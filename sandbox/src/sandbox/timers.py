"""Callbacks that run later and can all be cancelled."""

import asyncio
from collections.abc import Callable


class Timers:
    """Calls back after a delay; keeps nothing of what has run."""

    def __init__(self) -> None:
        self._handles: set[asyncio.TimerHandle] = set()

    def after(self, delay_ms: int, act: Callable[[], None]) -> None:
        """Call *act* in *delay_ms*, or at once if that is zero."""
        if delay_ms <= 0:
            act()
            return

        def due() -> None:
            self._handles.discard(handle)
            act()

        handle = asyncio.get_running_loop().call_later(delay_ms / 1000, due)
        self._handles.add(handle)

    def clear(self) -> None:
        """Cancel everything."""
        for handle in self._handles:
            handle.cancel()
        self._handles.clear()
