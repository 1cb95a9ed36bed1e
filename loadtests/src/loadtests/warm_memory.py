"""The machine's unused memory, used once before a clock starts.

A virtual machine gets a page from its host when it first uses it, and gives it back soon after it is free. That first
use may cost more than all that is then done with the page (10 µs for 4 kB where this was measured: files written at
0.4 GB/s instead of 4). A bench that writes gigabytes takes such pages all along, once those are used up that its own
start left; so it would get slower by what the host does. The machine of a database in use has no unused memory: new
pages come from those that the kernel keeps of files read or written long ago. So it is here, while `used` is held.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

CHUNK: Final = bytes(1 << 24)
# For what does not come out of the kernel's cache of files: processes that grow, sockets.
LEFT_BYTES: Final = 1 << 30


def to_use(will_write: int, free: int) -> int:
    """How many of *free* bytes of memory to use before *will_write* are written: none if these do not outgrow them."""
    return max(0, free - LEFT_BYTES) if will_write > free else 0


@contextlib.contextmanager
def used(folder: Path, size: int) -> Iterator[None]:
    """Hold *size* bytes of memory as the cache of a file below *folder*, which nobody sees and no kill leaves behind.

    They stay reclaimable: whoever needs memory gets it. Raises OSError when the disk is too small.
    """
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for start in range(0, size, len(CHUNK)):
            file.write(CHUNK[: size - start])
        os.fsync(file.fileno())  # written back, or it could not be reclaimed
        yield
