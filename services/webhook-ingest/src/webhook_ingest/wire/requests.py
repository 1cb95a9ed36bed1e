"""HTTP → domain: a gateway's POST, and the ids that an operator's reference may stand for."""

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from common.http_server import Call


class Delivery(msgspec.Struct, frozen=True):
    """One POST of a gateway as it came; header names are lower case, *address* is the sender's."""

    gateway: str
    account_id: str
    body: bytes
    headers: Mapping[str, str]
    address: str


def delivery(gateway: str, account_id: str, call: Call[bytes]) -> Delivery:
    headers: dict[str, str] = {}
    for raw_name, raw_value in call.scope["headers"]:
        name, value = _header_name(raw_name), raw_value.decode("latin-1")
        # A header that comes twice is one list, which is nobody's signature.
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Delivery(gateway, account_id, call.body, headers, call.context.ip)


@lru_cache(maxsize=1024)
def _header_name(raw: bytes) -> str:
    """Gateways send the same few names again and again."""
    return raw.decode("latin-1").lower()
