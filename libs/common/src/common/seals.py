"""Personal data at rest and on its way: sealed once where it enters, opened only where it is used.

A sealed text is `s1.<key id>.<base64url of nonce, ciphertext and tag>`, sealed bytes are `s1.<key id>.` and the same
three raw: AES-256-GCM, a random nonce, the kind of value (`email`, `phone`, `webhook.body` …) as associated data, so
that one cannot stand where the other belongs. The key id says which of ENCRYPTION_KEYS opens it; the first of them
seals. What is looked up has a blind index beside it, under a key of its own (BLIND_INDEX_KEY) that outlives rotation:
ADR 0025.
"""

import base64
import binascii
import hmac
import os
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from common.errors import Unavailable

# The kinds of more than one service; a service names others of its own.
EMAIL: Final = "email"
PHONE: Final = "phone"
NAME: Final = "name"
IP: Final = "ip"
USER_AGENT: Final = "user_agent"
DEVICE: Final = "device"
WEBHOOK_BODY: Final = "webhook.body"
TOTP_SECRET: Final = "totp_secret"  # noqa: S105 - a name
ACCOUNT_TOKEN: Final = "account_token"  # noqa: S105 - a name
API_KEY: Final = "api_key"

VERSION: Final = "s1"
KEY_BYTES: Final = 32
# A key that is no base64 of 32 bytes is a passphrase, as older deployments have it.
PASSPHRASE_LENGTH_MIN: Final = 32

_NONCE_BYTES = 12
_TAG_BYTES = 16
_PREFIX = f"{VERSION}."
_key_id = re.compile(r"[A-Za-z0-9_-]{1,16}", re.ASCII).fullmatch


class SealBroken(Unavailable):
    """A sealed value that no key of ours opens: its key is missing, or it was changed, or is of another kind."""

    fix = "Put the key that the message names back into ENCRYPTION_KEYS; `commdesk doctor` says which are needed."


class Sealer:
    """Seals with the first of *keys* (32 bytes each by key id) and opens with any of them."""

    def __init__(self, keys: Mapping[str, bytes], index_key: bytes) -> None:
        if not keys:
            raise ValueError("at least one encryption key is needed")
        self.key_ids: Final = tuple(keys)
        # The key that seals now.
        self.key_id: Final = self.key_ids[0]
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._current = self._ciphers[self.key_id]
        self._head = f"{_PREFIX}{self.key_id}."
        self._head_bytes = self._head.encode()
        self._index_key = index_key
        # By kind: with its key taken in already, a copy costs half of what a new one does.
        self._indexes: dict[str, hmac.HMAC] = {}

    def seal(self, kind: str, text: str) -> str:
        """*text* sealed; the empty text stays empty, it says nothing."""
        return self._head + _encode(self._encrypt(kind, text.encode())) if text else ""

    def open(self, kind: str, text: str) -> str:
        """What was sealed as *kind*. What has not the form of a sealed text is returned: it is from before sealing.

        Raises SealBroken.
        """
        parts = _parts(text)
        return self._decrypt(kind, *parts).decode() if parts else text

    def ensure(self, kind: str, text: str) -> str:
        """*text* itself when it is sealed already, by one of our keys and as *kind*; sealed otherwise."""
        parts = _parts(text)
        if parts:
            try:
                self._decrypt(kind, *parts)
                return text
            except SealBroken:
                pass
        return self.seal(kind, text)

    def seal_bytes(self, kind: str, content: bytes) -> bytes:
        """*content* sealed; nothing stays nothing."""
        return self._head_bytes + self._encrypt(kind, content) if content else b""

    def open_bytes(self, kind: str, content: bytes) -> bytes:
        """The twin of `open`. Raises SealBroken."""
        parts = _byte_parts(content)
        return self._decrypt(kind, *parts) if parts else content

    def open_cached(self, kind: str, content: bytes | None) -> bytes | None:
        """What `seal_bytes` made of *kind*, None for everything else: what lay in a store that others may write to.

        Name the value's place in *kind* (`cache:` and its key), or values could change places.
        """
        parts = _byte_parts(content) if content else None
        try:
            return self._decrypt(kind, *parts) if parts else None
        except SealBroken:
            return None

    def blind_index(self, kind: str, text: str) -> bytes:
        """32 bytes that are equal for equal texts of a kind, and say nothing of them without the key."""
        keyed = self._indexes.get(kind)
        if keyed is None:
            key = _derived(self._index_key, f"commdesk blind index {kind}")
            keyed = self._indexes[kind] = hmac.new(key, digestmod=sha256)
        index = keyed.copy()
        index.update(text.encode())
        return index.digest()

    def _encrypt(self, kind: str, content: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._current.encrypt(nonce, content, kind.encode())

    def _decrypt(self, kind: str, key_id: str, sealed: bytes) -> bytes:
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise SealBroken(f"the key {key_id} is not among ENCRYPTION_KEYS")
        try:
            return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], kind.encode())
        except InvalidTag:
            raise SealBroken(f"a value sealed with key {key_id} is not a {kind}, or was changed") from None


def generated() -> Sealer:
    """A sealer with fresh keys, for what ends with this process."""
    return Sealer({"k1": os.urandom(KEY_BYTES)}, os.urandom(KEY_BYTES))


def key_of(sealed: str | bytes) -> str | None:
    """The id of the key that *sealed* is sealed with; None for what is not sealed."""
    parts = _parts(sealed) if isinstance(sealed, str) else _byte_parts(sealed)
    return parts[0] if parts else None


def is_sealed(text: str) -> bool:
    """Whether *text* has the form of a sealed value."""
    return _parts(text) is not None


def read_keys(text: str) -> dict[str, bytes]:
    """ENCRYPTION_KEYS: `id:base64,id:base64`, the current key first. Raises ValueError, without the value.

    An entry without an id is named after the key. One that is no base64 of 32 bytes is a passphrase of at least 32
    characters, from which the key is derived.
    """
    keys: dict[str, bytes] = {}
    for number, entry in enumerate(text.split(","), 1):
        key_id, separator, encoded = entry.strip().rpartition(":")
        key = read_key(encoded, f"encryption key {number}")
        key_id = key_id if separator else _derived(key, "commdesk key id").hex()[:8]
        if not _key_id(key_id):
            raise ValueError(f"encryption key {number}: an id has 1 to 16 letters, digits, - and _")
        if key_id in keys or key in keys.values():
            raise ValueError(f"encryption key {number} is there twice")
        keys[key_id] = key
    return keys


def read_key(text: str, name: str) -> bytes:
    """32 bytes: *text* decoded, or derived from it when it is a passphrase. Raises ValueError, without the value."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) == KEY_BYTES:
        if len(set(key)) < 8:
            raise ValueError(f"{name} repeats itself: `openssl rand -base64 32` makes one")
        return key
    if len(text) < PASSPHRASE_LENGTH_MIN:
        raise ValueError(f"{name}: expected base64 of 32 bytes: `openssl rand -base64 32` makes one")
    return _derived(text.encode(), "commdesk passphrase")


def _derived(secret: bytes, info: str) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=info.encode()).derive(secret)


# binascii's own functions: those of base64 around them check and convert what is known here, at twice the cost.
_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_FROM_URL_SAFE = bytes.maketrans(b"-_+/", b"+/!!")


def _encode(content: bytes) -> str:
    return binascii.b2a_base64(content, newline=False).translate(_TO_URL_SAFE, b"=").decode("ascii")


def _decode(text: str) -> bytes:
    """Raises ValueError for what `_encode` does not write."""
    padded = text.encode("ascii").translate(_FROM_URL_SAFE) + b"=" * (-len(text) % 4)
    return binascii.a2b_base64(padded, strict_mode=True)


def _parts(text: str) -> tuple[str, bytes] | None:
    """Key id and sealed bytes; None for what is not of this form."""
    if not text.startswith(_PREFIX):
        return None
    key_id, separator, encoded = text[len(_PREFIX) :].partition(".")
    if not separator or not _key_id(key_id):
        return None
    try:
        sealed = _decode(encoded)
    except ValueError:
        return None
    return (key_id, sealed) if len(sealed) > _NONCE_BYTES + _TAG_BYTES else None


def _byte_parts(content: bytes) -> tuple[str, bytes] | None:
    if not content.startswith(_PREFIX.encode()):
        return None
    key_id, separator, sealed = content[len(_PREFIX) :].partition(b".")
    if not separator or len(sealed) <= _NONCE_BYTES + _TAG_BYTES:
        return None
    name = key_id.decode("ascii", "replace")
    return (name, bytes(sealed)) if _key_id(name) else None
