"""The contract reads, is consistent, and every type in it exists on the wire."""

import pytest

from common import topology
from common.services import SERVICES
from common.topology import CONTRACT, load, matches, retry_queues
from common.topology.retry_tiers import delay_ms


@pytest.mark.parametrize("name", CONTRACT.events)
def test_every_announced_type_exists(name: str) -> None:
    assert topology.message_type(name).DESCRIPTOR.full_name == name


@pytest.mark.parametrize("event", CONTRACT.events.values(), ids=lambda event: event.type)
def test_a_key_is_filled_from_a_field_that_the_event_has(event: topology.Event) -> None:
    if event.key_field is not None:
        message = topology.message_type(event.type)(**{event.key_field: "cashfree"})
        assert "cashfree" in event.routing_key(message)
        assert "{" not in event.routing_key(message)


def test_every_binding_is_reached_by_some_event() -> None:
    keys = {(event.exchange, event.key.replace("{gateway}", "cashfree")) for event in CONTRACT.events.values()}
    for queue in CONTRACT.queues:
        for exchange, pattern in queue.bindings:
            assert any(exchange == bound and matches(pattern, key) for bound, key in keys), (queue.name, pattern)


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("webhook.*.received", "webhook.cashfree.received", True),
        ("webhook.*.received", "webhook.cashfree.card.received", False),
        ("payment.success", "payment.success", True),
        ("payment.success", "paymentXsuccess", False),
        ("*", "a.b", False),
    ],
)
def test_patterns_match_as_the_broker_matches_them(pattern: str, key: str, expected: bool) -> None:
    assert matches(pattern, key) is expected


def test_a_table_that_names_an_undeclared_exchange_is_refused() -> None:
    with pytest.raises(ValueError, match="ghost"):
        load('exchanges = []\nevents = []\ncalls = []\n[[queues]]\nname="q"\nowner="o"\nbindings=[["ghost","k"]]')


def test_a_method_that_the_table_does_not_name_is_nobodys() -> None:
    assert topology.allowed_callers("/commdesk.unknown.v1.Service/Method") == frozenset()
    assert "operator" in topology.allowed_callers("/commdesk.common.v1.DeliveryService/Backlog")
    assert topology.allowed_callers("/commdesk.fraud.v1.FraudService/Score") == {"payment"}
    # `*` among callers: a new service too asks whose access was revoked.
    assert topology.allowed_callers("/commdesk.identity.v1.IdentityService/ListRevocations") == {"operator", *SERVICES}


def test_a_retry_tier_has_its_delay_and_no_other_exchange_has_one() -> None:
    """With no delay everything refused would come back at once, for ever."""
    assert [delay_ms(name) for name in retry_queues(1_000)] == [900, 1_000, 1_100]
    for name in ("payment.exchange", "retry.ms", "retry.1000ms.moving"):
        with pytest.raises(ValueError):
            delay_ms(name)
