"""Progress on the terminal: one line per step, with the seconds since the start."""

import sys
import threading
import time


class Progress:
    """Prints steps as they are done, from any thread. Goes to stderr, so that `--json` stays readable by programs."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def done(self, what: str) -> None:
        self._print("ok", what)

    def note(self, what: str) -> None:
        self._print("--", what)

    def failed(self, what: str) -> None:
        self._print("!!", what)

    def _print(self, sign: str, what: str) -> None:
        with self._lock:
            print(f"  {self.seconds:5.1f} s  {sign}  {what}", file=sys.stderr, flush=True)
