"""Where a request carries an API key.

| header | for |
|---|---|
| `Authorization: Bearer sk_…` | everybody |
| `Authorization: Basic`, the key as user name and no password | users of Stripe's libraries |
| the same, the key's id (`apk_…`) or the publishable key as user name and the secret key as password | of Razorpay's |
| `X-Api-Key` | the payment form of the documents, and tools that can set no other header |
"""

import base64
import binascii
from collections.abc import Mapping

from msgspec import Struct

from common.api_keys import texts
from common.api_keys.texts import ApiKeyInvalid, KeyText
from common.errors import InvalidArgument

# Of the header's value; far longer than any two keys.
_LENGTH_MAX = 512


class CredentialsAmbiguous(InvalidArgument):
    """The request says twice who is calling: in Authorization and in X-Api-Key."""

    fix = "Send one of the two headers."


class Presented(Struct, frozen=True):
    """The key of a request. With a user name of its own that is to be the id of *key*, or a publishable key of the same
    merchant.
    """

    key: KeyText
    key_id: str = ""
    publishable: KeyText | None = None


def presented(headers: Mapping[bytes, bytes]) -> Presented | None:
    """The key that a request carries; None when it carries none. Raises ApiKeyInvalid, CredentialsAmbiguous."""
    authorization, api_key = headers.get(b"authorization"), headers.get(b"x-api-key")
    if api_key is not None:
        if authorization is not None:
            raise CredentialsAmbiguous("the request has Authorization and X-Api-Key")
        return Presented(texts.read(api_key.decode("latin-1").strip()))
    if authorization is None or len(authorization) > _LENGTH_MAX:
        # Access tokens are longer than keys.
        return None
    scheme, _, value = authorization.decode("latin-1").partition(" ")
    value = value.strip()
    match scheme.lower():
        case "bearer" if texts.looks_like_key(value):
            return Presented(texts.read(value))
        case "basic":
            return _of_basic(value)
    return None


def _of_basic(encoded: str) -> Presented:
    """RFC 7617. Raises ApiKeyInvalid."""
    try:
        user, separator, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise ApiKeyInvalid("the credentials of Basic cannot be read") from None
    if not separator or not password:
        return Presented(texts.read(user))
    key = texts.read(password)
    if user.startswith("apk_"):
        return Presented(key, key_id=user)
    publishable = texts.read(user)
    if publishable.kind != "publishable" or key.kind != "secret":
        raise ApiKeyInvalid("the user name is the key's id or a publishable key, the password a secret key")
    return Presented(key, publishable=publishable)
