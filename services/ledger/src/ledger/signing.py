"""Signatures of the chain's heads: Ed25519, so that somebody who rebuilds the chain in the database cannot sign it."""

import base64
import hashlib
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_ID_CHARACTERS = 16


class HeadSigner:
    """Signs heads with one key; knows the public keys of those that were used before."""

    def __init__(self, private_key: str, retired: Sequence[str] = ()) -> None:
        """Keys are base64 of the raw 32 bytes."""
        self._key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(private_key, validate=True))
        own = self._key.public_key().public_bytes_raw()
        self.key_id = _key_id(own)
        self.public_key = base64.b64encode(own).decode()
        raw_keys = [own, *(base64.b64decode(key, validate=True) for key in retired)]
        self._keys = {_key_id(raw): Ed25519PublicKey.from_public_bytes(raw) for raw in raw_keys}

    def sign(self, text: bytes) -> bytes:
        return self._key.sign(text)

    def has_signed(self, key_id: str, text: bytes, signature: bytes) -> bool:
        """Whether *signature* is one of *text* by a key that is known here."""
        key = self._keys.get(key_id)
        if key is None:
            return False
        try:
            key.verify(signature, text)
        except InvalidSignature:
            return False
        return True


def _key_id(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:KEY_ID_CHARACTERS]
