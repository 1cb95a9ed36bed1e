"""Signatures as receivers check them: the vectors of Standard Webhooks, and the documents' own header."""

import hmac
import time
from hashlib import sha256

import pytest
import standardwebhooks
import svix.webhooks

from notifier.domain.webhook_signatures import signature_headers

ID, AT = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", 1_767_225_600
BODY = b'{"type":"payment.succeeded","timestamp":"2026-01-01T00:00:00Z","data":{"id":"pay_1","amount":50000}}'
FIRST = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
SECOND = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="


def test_the_vectors_of_standard_webhooks() -> None:
    headers = signature_headers(ID, AT, BODY, [FIRST])
    assert headers["webhook-signature"] == "v1,AbBrS6MRggeCXhsv4rEGV3X+wxArShUyzp5OyT6fN5Y="
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == (ID, str(AT))


def test_a_text_beyond_ascii_is_signed_as_its_bytes() -> None:
    body = '{"note":"ಬೆಂಗಳೂರು ₹"}'.encode()
    assert signature_headers(ID, AT, body, [FIRST])["webhook-signature"] == (
        "v1,gX38tLl0O16OqXYMV74p69EmVb1FlmsZ0uT/uWj8MrM="
    )


def test_both_secrets_sign_while_one_replaces_the_other() -> None:
    assert signature_headers(ID, AT, BODY, [SECOND, FIRST])["webhook-signature"] == (
        "v1,QoxHbRgdaIQryQ/SIt9V8j+dgWAP17vPHWSQ/4iLaOk= v1,AbBrS6MRggeCXhsv4rEGV3X+wxArShUyzp5OyT6fN5Y="
    )


def test_the_secret_of_the_documents_keys_their_own_header_as_it_is_written() -> None:
    headers = signature_headers(ID, AT, BODY, ["whsec_test_abc123"])
    assert headers["X-Webhook-Signature"] == hmac.new(b"whsec_test_abc123", BODY, sha256).hexdigest()
    assert "webhook-signature" not in headers


@pytest.mark.parametrize("verifier", [standardwebhooks.Webhook, svix.webhooks.Webhook])
@pytest.mark.parametrize("secret", [FIRST, SECOND])
def test_the_libraries_of_receivers_accept_either_secret(verifier: type, secret: str) -> None:
    headers = signature_headers(ID, int(time.time()), BODY, [SECOND, FIRST])
    verifier(secret).verify(BODY, headers)


@pytest.mark.parametrize("verifier", [standardwebhooks.Webhook, svix.webhooks.Webhook])
def test_the_libraries_of_receivers_refuse_another_body(verifier: type) -> None:
    headers = signature_headers(ID, int(time.time()), BODY, [FIRST])
    with pytest.raises((standardwebhooks.WebhookVerificationError, svix.webhooks.WebhookVerificationError)):
        verifier(FIRST).verify(BODY.replace(b"50000", b"5"), headers)
