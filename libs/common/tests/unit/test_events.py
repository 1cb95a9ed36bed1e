from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import context, ids
from common.context import Context
from common.events import EPOCH, alert, audit, from_micros, head, micros
from common.times import END, TimeOutOfRange

NOW = datetime(2026, 11, 27, 12, 0, 0, 1, tzinfo=UTC)


@given(st.datetimes(EPOCH.replace(tzinfo=None), END.replace(tzinfo=None) - EPOCH.resolution, timezones=st.just(UTC)))
def test_microseconds_are_exact_both_ways(moment: datetime) -> None:
    assert from_micros(micros(moment)) == moment
    assert micros(moment) == (moment - EPOCH) // timedelta(microseconds=1)


def test_a_moment_of_another_zone_is_the_same_moment():
    assert micros(NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))) == micros(NOW)


@pytest.mark.parametrize("unix_micros", [-1, -(2**63), 2**63 - 1, micros(datetime(2100, 1, 1, tzinfo=UTC))])
def test_what_is_no_moment_is_refused_by_name(unix_micros: int):
    with pytest.raises(TimeOutOfRange):
        from_micros(unix_micros)


def test_a_head_has_a_fresh_id_or_the_one_given():
    event_id = ids.new()
    assert head(NOW, event_id) == {"event_id": ids.encode("evt", event_id), "time_unix_micros": micros(NOW)}
    assert head(NOW)["event_id"] != head(NOW)["event_id"]


def test_an_audit_line_says_who_did_what_to_which_and_where_from():
    origin = Context(request_id="req_1", traceparent=f"00-{'a' * 32}-{'b' * 16}-00", ip="10.0.0.1", user_agent="curl")
    with context.bind(origin):
        line = audit(
            "wallet.grant",
            ("wallet", "wal_1"),
            service="wallet",
            at=NOW,
            merchant_id="mer_1",
            actor_id="usr_1",
            before={"available": 0},
            after={"available": 10, "note": "₹"},
        )
    assert (line.action, line.resource_type, line.resource_id) == ("wallet.grant", "wallet", "wal_1")
    assert (line.merchant_id, line.actor_id, line.service) == ("mer_1", "usr_1", "wallet")
    assert (line.ip, line.user_agent, line.request_id, line.trace_id) == ("10.0.0.1", "curl", "req_1", "a" * 32)
    assert (line.before_json, line.after_json) == ('{"available":0}', '{"available":10,"note":"₹"}')
    assert line.time_unix_micros == micros(NOW)


def test_an_audit_line_may_come_from_a_stored_origin_and_without_states():
    line = audit(
        "payment.block",
        ("user", "usr_1"),
        service="payment",
        at=NOW,
        merchant_id="mer_1",
        actor_id="usr_1",
        origin=Context(ip="10.0.0.2"),
    )
    assert (line.ip, line.before_json, line.after_json, line.trace_id) == ("10.0.0.2", "", "", "")


def test_an_alert_has_a_cause_a_sentence_and_fields():
    fields = {"queue": "wallet.credit"}
    line = alert("dead_letter", "an event was dead-lettered", service="wallet", at=NOW, fields=fields)
    assert (line.cause, line.service, line.summary) == ("dead_letter", "wallet", "an event was dead-lettered")
    assert dict(line.fields) == fields
