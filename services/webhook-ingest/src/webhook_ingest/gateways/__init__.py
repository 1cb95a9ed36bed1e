"""The gateways whose webhooks come in: how each signs and what its body says of itself. All pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from webhook_ingest.domain import Reading


@dataclass(frozen=True, slots=True)
class Signed:
    """What the gateway put beside the body."""

    signature: str
    signed_at: datetime
    version: str
    # 1 for the first delivery.
    attempt: int


class Gateway(Protocol):
    """One gateway's webhooks."""

    name: str

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime, window: timedelta) -> Signed:
        """Prove that the gateway sent exactly *body*, lately. Header names are lower case.

        Raises WebhookSignatureInvalid, WebhookTimestampInvalid or WebhookTooOld.
        """
        ...

    def read(self, body: bytes) -> Reading:
        """What *body* says of itself. Never raises: what cannot be read is an empty Reading."""
        ...
