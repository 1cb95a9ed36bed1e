"""Whether a webhook is the gateway's own and recent: the part that is the same for all gateways. Pure."""

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from common.errors import Unauthenticated
from gateways import Adapter, GatewayAccount, WebhookSignature, WebhookSummary

# How far a gateway's clock may run ahead of ours.
FUTURE_SKEW_MAX = timedelta(minutes=5)


class WebhookSignatureInvalid(Unauthenticated):
    """The signature is absent, malformed, or not made with a secret that we share with the gateway."""

    fix = "Sign the raw body with the account's webhook secret; check that the secret here is the one that signs."


class WebhookTimestampInvalid(Unauthenticated):
    """The signed time is absent, is not epoch milliseconds, or lies in the future."""

    fix = "Send the time of signing in epoch milliseconds; check both clocks."


class WebhookTooOld(Unauthenticated):
    """The signed time is outside the window: a replay, or a delivery that was held up for too long."""

    fix = "Let the gateway send the webhook again; a resend is signed afresh."


class WebhookSource(msgspec.Struct, frozen=True):
    """One account whose webhooks come in, with the adapter that reads them."""

    account: GatewayAccount
    adapter: Adapter
    # False only where a test shows what the guard SIGNATURE keeps out.
    checks_signature: bool = True

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime, window: timedelta) -> WebhookSignature:
        """Prove that the account's gateway sent exactly *body*, within *window*. Header names are lower case.

        Raises WebhookSignatureInvalid, WebhookTimestampInvalid or WebhookTooOld.
        """
        given = self.adapter.read_signature(headers)
        if given.signed_at is not None:
            _check_window(given.signed_at, now, window)
        if self.checks_signature and not self._is_signed(given, body):
            raise WebhookSignatureInvalid("the signature does not match the body")
        return given

    def summarise(self, body: bytes) -> WebhookSummary:
        """What *body* says of itself. Never raises: what cannot be read is an empty summary."""
        return self.adapter.summarise_webhook(body)

    def _is_signed(self, given: WebhookSignature, body: bytes) -> bool:
        """Compares with every secret and in constant time, so that the answer's delay tells nothing."""
        signature = given.signature.encode("utf-8", "surrogateescape")
        matches = [
            hmac.compare_digest(self.adapter.sign(secret.encode(), given, body).encode(), signature)
            for secret in self.account.webhook_secrets
        ]
        return any(matches)


def _check_window(signed_at: datetime, now: datetime, window: timedelta) -> None:
    """The window's edges are inside."""
    if now - signed_at > window:
        raise WebhookTooOld("signed too long ago")
    if signed_at - now > FUTURE_SKEW_MAX:
        raise WebhookTimestampInvalid("signed in the future")
