"""Rules of endpoints and deliveries."""

from datetime import UTC, datetime, timedelta

import pytest

from common import ids
from notifier.domain import webhook_endpoints as endpoints
from notifier.domain.webhook_deliveries import SCHEDULE, Answer, AttemptError, DeliveryStatus, next_step
from notifier.domain.webhook_endpoints import (
    DISABLED_AFTER,
    Endpoint,
    EndpointStatus,
    UrlRules,
    WebhookEndpointInvalid,
    WebhookSecret,
)

NOW = datetime(2026, 11, 28, tzinfo=UTC)
OK, FAILED = Answer(200, None, 5), Answer(500, AttemptError.HTTP, 5)
GONE = Answer(410, AttemptError.HTTP, 5)


def endpoint(**changes: object) -> Endpoint:
    fields: dict[str, object] = {
        "id": ids.new(),
        "merchant_id": "mer_commdesk",
        "url": "https://shop.example/hooks",
        "secrets": (WebhookSecret("whsec_b25l"),),
        "created_at": NOW,
    }
    return Endpoint(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("patterns", "wanted", "unwanted"),
    [
        ((), "refund.processed", None),
        (("payment.*",), "payment.success", "refund.created"),
        (("refund.created",), "refund.created", "refund.processed"),
    ],
)
def test_an_endpoint_gets_what_its_patterns_name(patterns: tuple[str, ...], wanted: str, unwanted: str | None) -> None:
    assert endpoint(events=patterns).wants(wanted)
    assert unwanted is None or not endpoint(events=patterns).wants(unwanted)


@pytest.mark.parametrize("pattern", ["payments.*", "payment", "pay*", "payment.**", "", "payment.success.*"])
def test_a_pattern_that_matches_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(WebhookEndpointInvalid):
        endpoints.checked_events([pattern])


@pytest.mark.parametrize(
    "url",
    [
        *("http://shop.example/", "ftp://shop.example/", "//shop.example", "https://", "https://a@shop.example/"),
        *("https://shop.example/#x", "https://127.0.0.1\\@shop.example/", "https://shop.example/\t", "https://shöp/"),
        *(
            "https://shop.example:0/",
            "https://shop.example:99999/",
            "https://[::1/",
            f"https://shop.example/{'x' * 2048}",
        ),
    ],
)
def test_an_address_that_cannot_be_called_is_refused(url: str) -> None:
    with pytest.raises(WebhookEndpointInvalid):
        endpoints.checked_url(url, UrlRules(allows_http=False))


@pytest.mark.parametrize("name", ["Content-Type", "webhook-id", "X-Webhook-Signature", "Host", "bad name", "a:b", ""])
def test_headers_of_ours_cannot_be_replaced(name: str) -> None:
    with pytest.raises(WebhookEndpointInvalid):
        endpoints.checked_headers({name: "x"})


def test_a_header_cannot_bring_another() -> None:
    with pytest.raises(WebhookEndpointInvalid):
        endpoints.checked_headers({"X-Shop": "1\r\nHost: elsewhere"})


def test_five_attempts_on_the_documented_schedule_and_then_none() -> None:
    pauses = []
    for attempt in range(1, 5):
        step = next_step(attempt, FAILED, SCHEDULE, 1.0, NOW)
        assert step.status is DeliveryStatus.PENDING
        assert step.next_retry_at is not None
        pauses.append(step.next_retry_at - NOW)
    assert pauses == [timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2)]
    assert next_step(5, FAILED, SCHEDULE, 1.0, NOW).status is DeliveryStatus.FAILED
    assert next_step(6, FAILED, SCHEDULE, 1.0, NOW).status is DeliveryStatus.FAILED


def test_a_receiver_that_asks_for_time_gets_it_within_an_hour() -> None:
    def pause(seconds: int) -> timedelta:
        busy = Answer(429, AttemptError.HTTP, 5, retry_after=timedelta(seconds=seconds))
        step = next_step(1, busy, SCHEDULE, 1.0, NOW)
        assert step.next_retry_at is not None
        return step.next_retry_at - NOW

    assert (pause(10), pause(600), pause(86_400)) == (
        timedelta(minutes=1),
        timedelta(minutes=10),
        timedelta(hours=1),
    )


def test_410_ends_the_delivery_and_the_endpoint() -> None:
    assert next_step(1, GONE, SCHEDULE, 1.0, NOW).status is DeliveryStatus.FAILED
    after = endpoints.after_deliveries(endpoint(), [False], is_gone=True, now=NOW)
    assert (after.status, after.disabled_reason) == (EndpointStatus.DISABLED, "gone")


def test_an_endpoint_is_given_up_after_days_without_one_success() -> None:
    failing = endpoints.after_deliveries(endpoint(), [False, False], is_gone=False, now=NOW)
    assert failing.failing_since == NOW
    still = endpoints.after_deliveries(failing, [False], is_gone=False, now=NOW + DISABLED_AFTER - timedelta(seconds=1))
    assert still.is_enabled
    assert (
        endpoints.after_deliveries(still, [False, True], is_gone=False, now=NOW + DISABLED_AFTER).failing_since is None
    )
    given_up = endpoints.after_deliveries(still, [False], is_gone=False, now=NOW + DISABLED_AFTER)
    assert (given_up.status, given_up.disabled_reason) == (EndpointStatus.DISABLED, "failing")
    assert endpoints.enabled(given_up).failing_since is None


def test_the_secret_before_signs_until_the_overlap_is_over() -> None:
    rotated = endpoints.rotated(endpoint(), WebhookSecret("whsec_dHdv"), timedelta(hours=24), NOW)
    assert endpoints.current_secrets(rotated, NOW) == ["whsec_dHdv", "whsec_b25l"]
    assert endpoints.current_secrets(rotated, NOW + timedelta(hours=24)) == ["whsec_dHdv"]
    assert endpoints.current_secrets(
        endpoints.rotated(endpoint(), WebhookSecret("whsec_dHdv"), timedelta(), NOW), NOW
    ) == ["whsec_dHdv"]


def test_few_secrets_sign_however_often_they_are_rotated() -> None:
    rotated = endpoint()
    for number in range(20):
        rotated = endpoints.rotated(rotated, WebhookSecret(f"whsec_{number}"), timedelta(hours=24), NOW)
    assert endpoints.current_secrets(rotated, NOW) == ["whsec_19", "whsec_18", "whsec_17"]


def test_a_secret_is_random_bytes_in_standard_base64() -> None:
    secret = endpoints.secret_of(b"\xfb" * endpoints.SECRET_BYTES)
    assert secret.value == "whsec_" + "+/v7" * 10 + "+/s="
    assert "whsec_" not in repr(secret)
