"""Records that hold a secret."""

from msgspec import Struct


class Concealed(Struct, frozen=True):
    """Its repr names the type and nothing else, so that no log line and no traceback shows what is inside."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"
