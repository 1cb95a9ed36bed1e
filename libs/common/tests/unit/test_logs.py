import asyncio
import io
import json
import logging

import pytest
from loguru import logger

from common import context, logs
from common.api_keys import generate
from common.context import Context
from common.redaction import mask_text

FIELDS = [
    "requestId",
    "correlationId",
    "traceId",
    "userId",
    "paymentId",
    "orderId",
    "service",
    "module",
    "environment",
    "timestamp",
    "level",
    "message",
]


@pytest.fixture
def written():
    stream = io.BytesIO()
    logs.setup("wallet", "test", "INFO", stream=stream)

    def lines() -> list[dict]:
        logs.flush()
        return [json.loads(text) for text in stream.getvalue().splitlines()]

    yield lines
    logs.setup("wallet", "test", "CRITICAL", stream=io.BytesIO())


def test_every_line_has_every_field(written):
    logger.info("hello {}", "there")
    logs.line(logs.INFO, "some.module", "fast", {"status": 200})
    logging.getLogger("library.x").warning("old %s", "way")
    slow, fast, library = written()
    assert all(set(FIELDS) <= line.keys() for line in (slow, fast, library))
    assert (slow["message"], slow["module"], slow["service"]) == ("hello there", __name__, "wallet")
    assert (fast["module"], fast["status"], fast["environment"]) == ("some.module", 200, "test")
    assert (library["module"], library["message"], library["level"]) == ("library.x", "old way", "WARNING")
    assert slow["timestamp"].endswith("Z")


def test_lines_carry_the_context_and_what_is_bound(written):
    now = Context(request_id="r", correlation_id="c", traceparent=context.new_traceparent(), user_id="usr_1")
    with context.bind(now):
        logger.bind(paymentId="pay_1", orderId="ord_1").info("x")
    [line] = written()
    assert (line["requestId"], line["correlationId"], line["userId"]) == ("r", "c", "usr_1")
    assert (line["paymentId"], line["orderId"], line["traceId"]) == ("pay_1", "ord_1", now.traceparent[3:35])


def test_secrets_and_personal_data_are_masked_in_depth(written):
    logger.bind(
        password="hunter2",
        api_key="k",
        Authorization="Bearer abcdefghijk",
        customer={
            "email": "a@b.example",
            "note": "mail a@b.example or call +91 98765 43210",
            "cards": ["4111111111111111"],
        },
        figure=12,
    ).warning("paid by someone@okbank with 4111 1111 1111 1111 for ord_01M7XXSTARE1MBVPGJ5PWDWFVZ")
    try:
        raise RuntimeError("cannot reach postgresql://user:Sup3rS3cret@db/x for bob@example.com")
    except RuntimeError:
        logger.exception("failed")
    # A time may have a secret's digits by chance.
    text = json.dumps([line | {"timestamp": ""} for line in written()])
    for secret in ("hunter2", "abcdefghijk", "a@b.example", "98765", "4111", "someone@okbank", "Sup3rS3cret", "bob@"):
        assert secret not in text, secret
    assert "ord_01M7XXSTARE1MBVPGJ5PWDWFVZ" in text
    assert '"figure": 12' in text


@pytest.mark.parametrize(
    "text",
    [
        "pay_01M7XXSTARE1MBVPGJ5PWDWFVZ took 1732154321123 ms",
        "01a1fbdc-e958-7068-bdda-122db8de3f7f",
        "2026-11-21T02:12:04.461232Z",
        "amount 9876543210123456 paise",
        "4f3a" * 8,
    ],
)
def test_ids_times_and_figures_are_left_alone(text: str):
    assert mask_text(text) == text


def test_a_line_stays_one_line(written):
    logger.info("two\nlines \x00")
    logger.info("half a pair: \ud800")
    assert len(written()) == 2


def test_what_is_below_the_level_is_not_written(written):
    logger.debug("no")
    logs.line(10, "m", "no", {})
    assert not logs.enabled(10)
    assert written() == []


async def test_lines_are_gathered_for_a_moment_and_urgent_ones_are_not():
    stream = io.BytesIO()
    logs.setup("wallet", "test", "INFO", stream=stream)
    logger.info("soon")
    assert stream.getvalue() == b""
    await asyncio.sleep(0.1)
    assert b"soon" in stream.getvalue()
    logger.info("before")
    logger.error("now")
    assert stream.getvalue().index(b"before") < stream.getvalue().index(b"now")


def test_the_pretty_form_is_for_people():
    stream = io.BytesIO()
    logs.setup("wallet", "test", "INFO", pretty=True, stream=stream)
    logger.bind(paymentId="pay_1").warning("hello")
    text = stream.getvalue().decode()
    assert "hello" in text
    assert "pay_1" in text
    assert "orderId" not in text


def test_api_keys_are_masked_wherever_they_stand():
    for key in (generate("secret", "live"), generate("publishable", "test")):
        assert mask_text(f"the key {key} is not valid") == "the key *** is not valid"
        assert key not in mask_text(f"https://pay.example/?key={key}&x=1")


def test_a_long_text_of_beginnings_is_masked_in_one_pass():
    """The text would take minutes if each beginning of a token was read to the end of the text."""
    text = "eyJ-" * 262_144
    assert mask_text(text) == text
    assert "eyJ" not in mask_text("token=eyJhbGciOiJ.eyJzdWIiOiI.c2ln and more")
