"""How a delivery proves where it comes from.

Standard Webhooks 1.0.0 (`webhook-id`, `webhook-timestamp`, `webhook-signature`), and beside it `X-Webhook-Signature`,
the hex HMAC-SHA256 of the exact body, as requirements.md S003 has it. The former needs a secret whose text after
`whsec_` is base64; the latter is keyed by the whole text of the current secret.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from hashlib import sha256

from notifier.domain.webhook_endpoints import SECRET_PREFIX


def signature_headers(webhook_id: str, unix_seconds: int, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The headers of one attempt; *secrets* has the current one first and those that it replaces."""
    signed = f"{webhook_id}.{unix_seconds}.".encode() + body
    keys = [key for secret in secrets if (key := _key(secret))]
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(unix_seconds),
        "X-Webhook-Signature": hmac.new(secrets[0].encode(), body, sha256).hexdigest(),
    }
    if keys:
        headers["webhook-signature"] = " ".join(
            "v1," + base64.b64encode(hmac.new(key, signed, sha256).digest()).decode() for key in keys
        )
    return headers


def _key(secret: str) -> bytes:
    """The bytes that the secret's base64 stands for; none where it is no base64, as in the documents' examples."""
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return b""
