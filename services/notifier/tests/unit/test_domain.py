"""Amounts, addresses and what SMTP's answers mean."""

from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.money import Money
from notifier.domain import recipients, smtp_replies
from notifier.domain import text as texts
from notifier.domain.smtp_replies import ReplyMeaning, Stage


@pytest.mark.parametrize(
    ("amount", "formatted"),
    [
        (Money(0), "₹0.00"),
        (Money(5), "₹0.05"),
        (Money(50_000), "₹500.00"),
        (Money(100_000), "₹1,000.00"),
        (Money(9_999_999), "₹99,999.99"),
        (Money(50_000_000), "₹5,00,000.00"),
        (Money(1_000_000_000), "₹1,00,00,000.00"),
        (Money(-123_456_789), "-₹12,34,567.89"),
        (Money(123_456_789, "USD"), "USD 1,234,567.89"),
    ],
)
def test_amounts_are_written_as_in_india(amount: Money, formatted: str) -> None:
    assert texts.format_amount(amount) == formatted


@given(st.integers(-(2**53), 2**53))
def test_grouping_loses_no_digit(minor: int) -> None:
    formatted = texts.format_amount(Money(minor))
    assert int(formatted.replace("₹", "").replace(",", "").replace(".", "")) == minor


def test_times_are_indian() -> None:
    assert texts.format_time(datetime(2024, 12, 31, 18, 30, tzinfo=UTC)) == "01 Jan 2025, 12:00 AM IST"


@pytest.mark.parametrize(
    "address", ["a@b.in", "first.last+tag@sub.example.com", "o'neil@example.org", "x" * 64 + "@e.co"]
)
def test_plain_addresses(address: str) -> None:
    assert recipients.parse_address(address) == address


def test_an_international_domain_goes_out_in_ascii() -> None:
    assert recipients.parse_address("a@ब.in") == "a@xn--p2b.in"


@pytest.mark.parametrize(
    "text",
    ["", "a", "a@b", "@b.in", "a@", "a b@c.in", "a@b.in\n", "a@b.in\r\nBcc: x@y.in", "<a@b.in>", "a@b.in>", '"a"@b.in',
     "a@b.in,c@d.in", "a@-b.in", "a@b-.in", "a..b@c.in", ".a@b.in", "आ@b.in", "x" * 65 + "@e.co",
     "a@" + "b." * 126 + "in", "a\0@b.in"],
)  # fmt: skip
def test_everything_else_is_no_address(text: str) -> None:
    assert recipients.parse_address(text) is None


@given(st.text(max_size=40).map(lambda local: local + "@example.com"))
def test_an_address_never_breaks_a_line(text: str) -> None:
    if (address := recipients.parse_address(text)) is not None:
        assert address.isascii()
        assert address.isprintable()
        assert not set(address) & set(' <>,;:"\\()[]')


def test_replies_at_every_stage() -> None:
    for stage, code in product(Stage, range(200, 600)):
        meaning = smtp_replies.meaning(stage, code)
        if code < 400:
            assert meaning is ReplyMeaning.ACCEPTED
        elif code < 500 or stage is Stage.SENDER:
            assert meaning is ReplyMeaning.TEMPORARY
    assert smtp_replies.meaning(Stage.RECIPIENT, 550) is ReplyMeaning.PERMANENT
    assert smtp_replies.meaning(Stage.CONTENT, 554) is ReplyMeaning.PERMANENT
    assert smtp_replies.meaning(Stage.RECIPIENT, 530) is ReplyMeaning.TEMPORARY
    assert smtp_replies.meaning(Stage.RECIPIENT, 0) is ReplyMeaning.TEMPORARY


def test_retries_grow_rarer_and_end() -> None:
    waits = [smtp_replies.retry_seconds(attempt) for attempt in range(1, 40)]
    assert waits == sorted(waits)
    assert waits[-1] == 3600


def test_web_addresses_only() -> None:
    assert texts.safe_url("https://pay.example/a?b=c") == "https://pay.example/a?b=c"
    for unsafe in (
        "javascript:alert(1)",
        "https://a b",
        "https://a\nb",
        "data:text/html,x",
        "",
        "https://" + "x" * 3000,
    ):
        assert texts.safe_url(unsafe) == ""
