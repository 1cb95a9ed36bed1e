"""The text of an API key: `sk_live_`, 30 random letters and digits, and their checksum in six more.

The prefix says the kind (`key_` publishable, `sk_` secret) and the environment. The checksum is that of GitHub's tokens
(CRC-32 of all before it, in base 62): secret scanners know a key of ours from a text that only looks like one, and a
mistyped or invented key is refused without asking anybody.
"""

import hashlib
import re
import secrets
import string
import zlib
from typing import Final, Literal

from msgspec import Struct

from common.errors import Unauthenticated

Kind = Literal["publishable", "secret"]
Environment = Literal["test", "live"]

# 30 characters of 62 are 178 bits.
RANDOM_LENGTH: Final = 30
CHECKSUM_LENGTH: Final = 6
# The keys of the merchant that local stacks have for trying things out. Everybody knows them; identity knows them only
# with TEST_MERCHANT, with which no production starts.
KNOWN_KEYS: Final = {"publishable": "key_test_abc123", "secret": "sk_test_abc123"}

_KNOWN: Final = frozenset(KNOWN_KEYS.values())
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PREFIXES: Final[dict[Kind, str]] = {"publishable": "key", "secret": "sk"}
_KINDS: Final[dict[str, Kind]] = {"key": "publishable", "sk": "secret"}
_text = re.compile(rf"(key|sk)_(test|live)_[0-9A-Za-z]{{{RANDOM_LENGTH + CHECKSUM_LENGTH}}}", re.ASCII).fullmatch


class ApiKeyInvalid(Unauthenticated):
    """The API key is unknown, has expired or was revoked, or it is no key at all; which of them is not said."""

    fix = "Send a key of your merchant: `Authorization: Bearer sk_…`, or as the user name of Basic, or `X-Api-Key`."


class KeyText(Struct, frozen=True):
    """What the text of a key says of itself. *digest*, its SHA-256, stands for it everywhere but in the request."""

    kind: Kind
    environment: Environment
    digest: bytes


def prefix(kind: Kind, environment: Environment) -> str:
    """What keys of this kind begin with: `sk_test_`."""
    return f"{_PREFIXES[kind]}_{environment}_"


def generate(kind: Kind, environment: Environment) -> str:
    """A fresh key."""
    text = prefix(kind, environment) + "".join(secrets.choice(_ALPHABET) for _ in range(RANDOM_LENGTH))
    return text + checksum(text)


def checksum(text: str) -> str:
    """The six characters that follow *text*: its CRC-32 in base 62, the highest digit first."""
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def looks_like_key(text: str) -> bool:
    """Whether *text* is meant as an API key, well formed or not: no token begins like that."""
    return text.startswith(("sk_", "key_"))


def read(text: str) -> KeyText:
    """What *text* says of itself. Raises ApiKeyInvalid when it is no key or its checksum is wrong."""
    is_ours = _text(text) is not None and checksum(text[:-CHECKSUM_LENGTH]) == text[-CHECKSUM_LENGTH:]
    if not is_ours and text not in _KNOWN:
        raise ApiKeyInvalid("the API key is not valid")
    word, environment = text.split("_", 2)[:2]
    return KeyText(_KINDS[word], "test" if environment == "test" else "live", hashlib.sha256(text.encode()).digest())
