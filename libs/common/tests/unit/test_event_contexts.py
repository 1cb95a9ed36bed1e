"""The ids of a request beside each event: how they are read, packed, and found again for what is announced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commdesk.common.v1.common_pb2 import EventContext
from commdesk.common.v1.events_pb2 import AuditRecorded
from commdesk.fraud.v1.fraud_pb2 import ScoreRequest, Subject
from commdesk.payment.v1.events_pb2 import AnalyticsPaymentSucceeded, PaymentSucceeded
from commdesk.payment.v1.payment_pb2 import GetPaymentsRequest, Payment
from commdesk.wallet.v1.events_pb2 import WalletCredited
from commdesk.webhook_ingest.v1.events_pb2 import WebhookProcessed, WebhookReceived
from common import context, event_contexts
from common.batching import Batcher
from common.context import Context

TRACE = "00-" + "1" * 32 + "-" + "2" * 16 + "-00"
ONE = Context(request_id="req-1", correlation_id="cor-1", traceparent=TRACE)


def test_a_context_crosses_as_it_is():
    assert event_contexts.opened(event_contexts.serialised(ONE)) == ONE
    assert event_contexts.serialised(context.EMPTY) == b""
    assert event_contexts.opened(b"") == context.EMPTY


@given(st.binary(max_size=600))
def test_whatever_stands_in_an_envelope_is_read(raw: bytes):
    assert isinstance(event_contexts.opened(raw), Context)


@pytest.mark.parametrize("hostile", ["line\nbreak", "a@example.com", "x" * 129, "<script>"])
def test_ids_that_are_none_do_not_get_into_lines(hostile: str):
    raw = EventContext(request_id=hostile, correlation_id=hostile, traceparent=hostile).SerializeToString()
    assert event_contexts.opened(raw) == context.EMPTY


def test_an_envelope_carries_one_context_for_all_or_one_for_each():
    assert event_contexts.packed([b"a", b"a"]) == [b"a"]
    assert event_contexts.packed([b"", b""]) == ()
    assert event_contexts.packed([b"a", b"b"]) == [b"a", b"b"]
    assert event_contexts.for_each([b"a"], 3) == [b"a", b"a", b"a"]
    assert event_contexts.for_each([], 2) == [b"", b""]
    assert event_contexts.for_each([b"a", b"b"], 3) == [b"", b"", b""]


@pytest.mark.parametrize(
    ("cause", "effect"),
    [
        (PaymentSucceeded(payment=Payment(payment_id="pay_1")), WalletCredited(payment_id="pay_1", wallet_id="wal_1")),
        (PaymentSucceeded(payment=Payment(payment_id="pay_1")), AnalyticsPaymentSucceeded(payment_id="pay_1")),
        (PaymentSucceeded(payment=Payment(payment_id="pay_1")), AuditRecorded(resource_id="pay_1")),
        (
            PaymentSucceeded(payment=Payment(payment_id="pay_1")),
            AuditRecorded(resource_id="wal_1", payment_id="pay_1"),
        ),
        (WebhookReceived(event_id="evt_1"), WebhookProcessed(event_id="evt_2", webhook_id="evt_1")),
    ],
)
def test_what_follows_from_an_event_takes_its_context(cause, effect):
    by_subject = dict.fromkeys(event_contexts.keys_of(cause), b"its")
    assert event_contexts.of_message(effect, by_subject, b"own") == b"its"
    assert event_contexts.of_message(effect, {"pay_2": b"another's"}, b"own") == b"own"


def test_the_ids_for_a_line_are_read_from_the_message():
    payment = Payment(payment_id="pay_1", order_id="ord_1", user_id="usr_1")
    [subject] = event_contexts.subjects_of(PaymentSucceeded(payment=payment))
    assert subject == event_contexts.Subject("pay_1", "ord_1", "usr_1")
    several = event_contexts.subjects_of(GetPaymentsRequest(payment_ids=["pay_1", "pay_2"]))
    assert [each.payment_id for each in several] == ["pay_1", "pay_2"]
    scored = event_contexts.subjects_of(
        ScoreRequest(subjects=[Subject(payment_id=each, user_id="usr_1") for each in ("pay_1", "pay_2")])
    )
    assert event_contexts.only(scored) == event_contexts.Subject(user_id="usr_1")


def test_a_batch_has_the_context_of_its_one_request_or_links_those_of_many():
    two = Context(request_id="req-2", correlation_id="cor-2", traceparent=TRACE[:-1] + "1")
    assert context.of_batch([ONE, ONE]) is ONE
    batch = context.of_batch([ONE, two])
    assert (batch.request_id, batch.correlation_id, batch.links) == ("", "", ("cor-1", "cor-2"))
    assert batch.traceparent.endswith("-01"), "exported, because one of them is"
    many = context.of_batch([Context(correlation_id=f"cor-{number}") for number in range(500)])
    assert len(many.links) == context.LINKS_MAX


async def test_a_flush_has_the_context_of_the_request_that_waits_or_links_to_several():
    seen: list[Context] = []

    async def flush(items: list[int]) -> list[int]:
        seen.append(context.current())
        return items

    batcher: Batcher[int, int] = Batcher(flush, name="test_contexts")
    with context.bind(ONE):
        await batcher.submit(1)
    futures = []
    for number in range(3):
        with context.bind(Context(correlation_id=f"cor-{number}")):
            futures.append(batcher.offer(number))
    await batcher.drain()
    assert [future.result() for future in futures] == [0, 1, 2]
    assert seen[0] is ONE
    assert seen[1].links == ("cor-0", "cor-1", "cor-2")
