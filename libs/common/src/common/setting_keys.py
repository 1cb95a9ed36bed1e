"""Ed25519 keys in settings: base64 of their 32 raw bytes, one or a JSON list of them. Validators for the fields."""

import base64
import binascii
import json
from typing import Final

from pydantic import SecretStr

KEY_EXPECTED: Final = "expected base64 of the 32 raw bytes of an Ed25519 key"


def is_raw_key(text: str) -> bool:
    """Whether *text* is base64 of 32 bytes, as Ed25519 keys are given here."""
    try:
        return len(base64.b64decode(text, validate=True)) == 32
    except (binascii.Error, ValueError):
        return False


def json_list(value: object) -> object:
    """For `mode="before"`: a list that is written as JSON. Raises ValueError."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("must be a JSON list of base64") from None


def secret_raw_key(value: SecretStr) -> SecretStr:
    """A key, or nothing. Raises ValueError."""
    if value.get_secret_value() and not is_raw_key(value.get_secret_value()):
        raise ValueError(KEY_EXPECTED)
    return value


def raw_keys(value: tuple[str, ...]) -> tuple[str, ...]:
    """A list of keys. Raises ValueError."""
    if not all(map(is_raw_key, value)):
        raise ValueError(KEY_EXPECTED)
    return value
