"""Spends in protobuf's wire format, assembled from parts that are encoded once, because the load shares the cores.

Only the parts that differ from spend to spend (key, credits, time) are filled in; a test decodes each of them with the
generated classes.
"""

from commdesk.wallet.v1.wallet_pb2 import Owner
from common import ids
from loadtests.wallets.plan import MERCHANT_ID, PURPOSE, SPEND_CREDITS_MAX

_BYTES = 2  # protobuf's wire type of whatever has a length
KEYS = 1_024


def varint(number: int) -> bytes:
    """*number* (not negative) as protobuf writes it."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def field(number: int, content: bytes) -> bytes:
    """A text, bytes or a message as field *number* (below 16)."""
    return bytes((number << 3 | _BYTES,)) + varint(len(content)) + content


def keys() -> list[bytes]:
    """Operation keys that nobody has used, in order of time: one fresh id, and a number in place of its last digits."""
    stem = ids.encode("key", ids.new())[:-3].encode()
    return [stem + digits for digits in _DIGITS]


def owner(owner_id: str) -> bytes:
    """A Consumption's owner."""
    return field(2, Owner(merchant_id=MERCHANT_ID, kind="USER", id=owner_id).SerializeToString())


def consumption(key: bytes, owner: bytes, credits: int) -> bytes:
    """A Consumption; *owner* as `owner` encodes it."""
    return _KEY + key + owner + _CREDITS[credits] + _PURPOSE + _SOURCE_ID + key


def item(consumption: bytes) -> bytes:
    """A Consumption within a ConsumeCreditsRequest, which is nothing but its items one after the other."""
    return _ITEM + varint(len(consumption)) + consumption


def request(key: bytes, unix_micros: bytes, consumption: bytes) -> bytes:
    """A WalletConsumeRequested; *unix_micros* as `varint` writes it."""
    return _EVENT_ID + key[3:] + b"\x10" + unix_micros + _SPEND + varint(len(consumption)) + consumption


_DIGITS = tuple(b"%03d" % number if number < 1_000 else b"A%02d" % (number - 1_000) for number in range(KEYS))
_KEY_BYTES = len("key_") + ids.LENGTH
_KEY, _SOURCE_ID = (bytes((number << 3 | _BYTES, _KEY_BYTES)) for number in (1, 5))
_EVENT_ID = _KEY + b"evt"
_CREDITS = tuple(b"\x18" + varint(credits) for credits in range(SPEND_CREDITS_MAX + 1))
_PURPOSE = field(4, PURPOSE.encode())
_ITEM, _SPEND = (bytes((number << 3 | _BYTES,)) for number in (1, 3))
