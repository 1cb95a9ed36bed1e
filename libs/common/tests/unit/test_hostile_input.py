"""Every parser of common is total: what comes from outside is read, or refused by name, and never raises a bug."""

import asyncio
import base64
import json
import time
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Annotated, Any

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Meta

from commdesk.common.v1.common_pb2 import Envelope
from commdesk.payment.v1.events_pb2 import PaymentSucceeded
from common import contacts, envelopes, ids, messages, names, pages, times
from common.errors import DomainError, RequestInvalid
from common.events import from_micros
from common.http_server import Body
from common.http_server.error_responses import BodyTooLarge
from common.http_server.requests import BODY_BYTES_MAX, json_reader, query_reader
from common.messages import MessageUnreadable
from common.pages import CursorInvalid, PageQuery
from common.testing import hostile
from common.texts import printable, storable
from common.tokens import ServiceTokens, TokenExpired, TokenInvalid, UserTokens, read_jwks

SECRET = "hs256-secret-of-at-least-32-characters"

# ── Times ────────────────────────────────────────────────────────────────────────────────────────────────────────


@hostile.pure
@given(st.sampled_from(hostile.TIMES) | hostile.texts | st.datetimes().map(datetime.isoformat) | st.none())
def test_a_time_is_read_within_a_century_or_not_at_all(text: object) -> None:
    moment = times.parse_time(text)
    if moment is not None:
        assert times.FIRST <= moment < times.END
        assert moment.tzinfo is UTC


@pytest.mark.parametrize("offset", ["Z", "+05:30", "-05:30", "+23:59", "-23:59"])
@pytest.mark.parametrize("year", ["0001-01-01T00:00:00", "9999-12-31T23:59:59", "1970-01-01T00:00:00"])
def test_zero_times_are_no_times(year: str, offset: str) -> None:
    assert times.parse_time(year + offset) is None


def test_a_time_is_read_with_its_offset() -> None:
    assert times.parse_time("2026-04-01T15:30:00+05:30") == datetime(2026, 4, 1, 10, tzinfo=UTC)
    assert times.parse_time("2026-04-01T15:30:00") is None


@hostile.pure
@given(hostile.integers)
def test_microseconds_are_a_moment_or_refused_by_name(number: int) -> None:
    with suppress(times.TimeOutOfRange):
        assert 1970 <= from_micros(number).year < 2100


# ── Texts ────────────────────────────────────────────────────────────────────────────────────────────────────────


@hostile.pure
@given(hostile.json_values)
def test_what_is_kept_of_a_text_can_be_stored(value: Any) -> None:
    kept = printable(value, 128)
    assert kept.isprintable()
    assert len(kept) <= 128
    if isinstance(value, str):
        stored = storable(value, 64)
        assert "\0" not in stored
        assert len(stored) <= 64
        stored.encode()


@hostile.pure
@given(hostile.texts)
def test_an_id_is_an_id_or_refused_by_name(text: str) -> None:
    for read in (
        lambda: ids.decode("pay", text),
        lambda: contacts.email_address(text),
        lambda: names.person_name(text),
    ):
        with suppress(DomainError):
            read()
    for region in ("IN", "US"):
        with suppress(RequestInvalid):
            assert contacts.phone_number(contacts.phone_number(text, region)).startswith("+")
    with suppress(RequestInvalid):
        assert contacts.national_number("+91", text).isdigit()


# ── Requests ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Everything(Body, frozen=True):
    text: str | None = None
    number: int | None = None
    flag: bool | None = None
    texts: list[str] | None = None
    table: dict[str, str | int | bool] | None = None
    at: Annotated[datetime, Meta(tz=True)] | None = None
    day: date | None = None


class ListQuery(PageQuery, frozen=True):
    since: Annotated[datetime, Meta(tz=True)] | None = None
    day: date | None = None
    text: str | None = None


read_body, read_query = json_reader(Everything), query_reader(ListQuery)


def is_object(raw: bytes) -> bool:
    try:
        return isinstance(json.loads(raw), dict)
    except (ValueError, RecursionError):
        return False


def body_of(raw: bytes) -> Everything:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": raw}

    return asyncio.run(read_body({}, receive, {b"content-type": b"application/json"}))  # type: ignore[arg-type]


@hostile.pure
@given(hostile.values_of(Everything).map(hostile.encode) | hostile.bodies)
@example(b'{"":""}')
@example(b'{"":9007199254740993}')
def test_a_body_is_read_or_refused(raw: bytes) -> None:
    refused = None
    try:
        body = body_of(raw)
    except DomainError as error:
        refused = error
    if len(raw) > BODY_BYTES_MAX:
        assert isinstance(refused, BodyTooLarge)
        return
    if refused is not None:
        # Whatever is wrong inside a document of the right shape is named.
        assert refused.fields or "nested" in refused.message or not is_object(raw), (raw, refused)
        return
    assert body.at is None or 1900 <= body.at.astimezone(UTC).year < 2200
    assert body.day is None or 1900 <= body.day.year < 2200
    json.dumps([body.text, body.texts, body.table], ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"number":99999999999999999999}', "number"),
        (b'{"number":NaN}', "number"),
        (b'{"texts":["a","\\ud800"]}', "texts[1]"),
        (b'{"table":{"a":{"b":1}}}', "table[...]"),
        (b'{"table":{"a":Infinity}}', "table.a"),
        (b'{"at":"0001-01-01T00:00:00+05:30"}', "at"),
        (b'{"at":"9999-12-31T23:59:59-05:30"}', "at"),
        (b'{"day":"0001-01-01"}', "day"),
        (b'{"text":"\\u0000"}', "text"),
    ],
)
def test_the_field_that_is_wrong_is_named(raw: bytes, field: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        body_of(raw)
    assert list(refused.value.fields) == [field]


@hostile.pure
@given(
    st.dictionaries(st.sampled_from(["limit", "cursor", "since", "day", "text", "x"]), hostile.encodable_texts).map(
        lambda values: "&".join(f"{name}={value}" for name, value in values.items()).encode("utf-8")
    )
    | st.binary(max_size=100)
)
def test_a_query_is_read_or_refused(raw: bytes) -> None:
    with suppress(DomainError):
        query = read_query(raw)
        assert query.since is None or 1900 <= query.since.astimezone(UTC).year < 2200


@hostile.pure
@given(
    hostile.json_values.map(hostile.encode).map(lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="))
    | hostile.texts
)
def test_a_cursor_is_one_of_ours_or_refused(text: str) -> None:
    with suppress(CursorInvalid):
        pages.decode_cursor(text, datetime, int)
    with suppress(CursorInvalid):
        pages.decode_cursor(text, str)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+05:30", "9999-12-31T23:59:59-05:30"])
def test_a_cursor_holds_no_time_at_which_comparing_ends(text: str) -> None:
    with pytest.raises(CursorInvalid):
        pages.decode_cursor(base64.urlsafe_b64encode(json.dumps([text]).encode()).decode(), datetime)


# ── Tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────

CLAIMS = ("sub", "merchant_id", "roles", "email", "name", "phone", "jti", "exp", "iat", "nbf", "iss", "aud")
USERS = UserTokens("", SECRET)


@hostile.pure
@given(st.dictionaries(st.sampled_from(CLAIMS), hostile.json_values, max_size=4))
def test_claims_of_any_type_make_a_caller_or_are_refused(changes: dict[str, Any]) -> None:
    now = int(time.time())
    claims = {"iss": "commdesk-identity", "aud": "commdesk", "iat": now, "exp": now + 60, "sub": "usr_1"} | changes
    token = jwt.api_jws.encode(hostile.encode(claims), SECRET, algorithm="HS256")
    try:
        caller = USERS.verify(token)
    except (TokenInvalid, TokenExpired):
        return
    for text in (caller.user_id, caller.merchant_id, caller.email, caller.name, caller.phone, *caller.roles):
        assert "\0" not in text
        text.encode()
    assert USERS.verify(token) is caller


@hostile.pure
@given(hostile.bodies, hostile.bodies)
def test_what_is_no_token_is_refused(header: bytes, payload: bytes) -> None:
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (header, payload, b"x" * 32)]
    with pytest.raises((TokenInvalid, TokenExpired)):
        USERS.verify(".".join(parts))


@hostile.pure
@given(hostile.texts)
def test_any_text_in_the_place_of_a_token_is_refused(text: str) -> None:
    with pytest.raises((TokenInvalid, TokenExpired)):
        USERS.verify(text)
    key = base64.b64encode(bytes(32)).decode()
    with pytest.raises(DomainError):
        ServiceTokens("wallet", key, {}).verify(text, "wallet")


@hostile.pure
@given(hostile.bodies)
def test_a_key_set_is_read_or_a_value_error(raw: bytes) -> None:
    with suppress(ValueError):
        read_jwks(raw)


# ── Messages ─────────────────────────────────────────────────────────────────────────────────────────────────────


@hostile.pure
@given(
    hostile.messages_of(Envelope).map(lambda message: message.SerializeToString()) | hostile.bodies,
    st.dictionaries(
        st.sampled_from([envelopes.ATTEMPT, envelopes.FIRST_FAILED, envelopes.ERROR_CLASS, envelopes.ERROR_CODE])
        | st.just("x-delivery-count"),
        hostile.json_values,
    ),
)
def test_a_message_of_the_broker_becomes_a_delivery_that_can_be_stored(raw: bytes, headers: dict[str, Any]) -> None:
    delivery = envelopes.read(raw, headers)
    for text in (delivery.type, delivery.producer, delivery.error_class, delivery.error_code):
        assert "\0" not in text
    assert 0 <= delivery.attempt < 2**31
    assert 0 <= delivery.redeliveries < 2**31
    from_micros(delivery.first_failed_unix_micros)


@hostile.pure
@given(hostile.messages_of(PaymentSucceeded))
def test_a_message_with_a_nul_names_its_field(message: PaymentSucceeded) -> None:
    field = messages.field_with_nul(message)
    if field is None:
        assert messages.parse(PaymentSucceeded, message.SerializeToString()) == message
    else:
        with pytest.raises(MessageUnreadable) as refused:
            messages.parse(PaymentSucceeded, message.SerializeToString())
        assert refused.value.field == field
