"""Bank statements as banks write them, and as nobody should."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.domain.bank import BankStatementInvalid, StatementLine, numbered
from reconciler.wire import statements

CSV = b"""Date,Narration,Reference,Amount\r
2026-02-02,"NEFT CR, CASHFREE",CITIN10000000,"1,234.50"\r
\r
03/02/2026,ATM,,-200\r
"""
MT940 = b""":20:REF1
:25:000123
:28C:1/1
:60F:C260201INR1000,00
:61:2602020202C1234,50NTRFCITIN10000000//BANK1
:86:NEFT CASHFREE PAYMENTS
:61:2602030203D200,00NMSCNONREF
:86:ATM
:62F:C260203INR2034,50
"""


def test_a_csv_is_read_by_its_headings() -> None:
    statement = statements.parse(CSV, "000123", "INR")
    assert (statement.format, statement.account, statement.currency) == ("CSV", "000123", "INR")
    assert (statement.first_on, statement.last_on) == (date(2026, 2, 2), date(2026, 2, 3))
    assert [(line.booked_on.day, line.amount_minor) for line in statement.lines] == [(2, 123_450), (3, -20_000)]
    assert "CITIN10000000" in statement.lines[0].text


def test_credits_and_debits_may_have_columns_of_their_own() -> None:
    body = b"Txn Date;Description;Debit;Credit\n31-03-2026;a;;10.5\n01-04-2026;b;3;\n"
    lines = statements.parse(body, "1", "INR").lines
    assert [(line.booked_on, line.amount_minor) for line in lines] == [
        (date(2026, 3, 31), 1_050),
        (date(2026, 4, 1), -300),
    ]


def test_mt940_names_its_account_and_currency() -> None:
    statement = statements.parse(MT940, "", "USD")
    assert (statement.format, statement.account, statement.currency) == ("MT940", "000123", "INR")
    assert [(line.booked_on, line.amount_minor) for line in statement.lines] == [
        (date(2026, 2, 2), 123_450),
        (date(2026, 2, 3), -20_000),
    ]
    assert "CITIN10000000" in statement.lines[0].text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0",
        b"date,amount\n2026-01-01,1\n",
        b"date,reference\n2026-01-01,x\n",
        b"date,amount,reference\n",
        b"date,amount,reference\nyesterday,1,x\n",
        b"date,amount,reference\n2026-01-01,1.005,x\n",
        b"date,amount,reference\n2026-01-01,1e400,x\n",
        b"date,amount,reference\n2026-01-01,NaN,x\n",
        b"date,amount,reference\n1899-01-01,1,x\n",
        b":20:1\n:61:nonsense\n",
        b":20:1\n:25:1\n:60F:C260201ZZZ1,00\n:61:2602020202C1,00NTRFX\n",
    ],
)
def test_what_cannot_be_read_is_refused_by_name(body: bytes) -> None:
    with pytest.raises(BankStatementInvalid):
        statements.parse(body, "1", "INR")


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode) | st.sampled_from([CSV, MT940]).flatmap(
    lambda body: st.integers(0, len(body)).map(lambda cut: body[:cut])
))  # fmt: skip
def test_any_file_is_read_or_refused(body: bytes) -> None:
    try:
        statement = statements.parse(body, "1", "INR")
    except BankStatementInvalid:
        return
    assert statement.lines
    assert statement.first_on <= statement.last_on


def test_equal_lines_of_a_day_are_told_apart_and_the_same_line_is_the_same() -> None:
    line = StatementLine(date(2026, 2, 2), 100, "NEFT a/b 12")
    first, second, other = numbered([line, line, StatementLine(date(2026, 2, 3), 100, "neft AB12")])
    assert (first.ordinal, second.ordinal, other.ordinal) == (0, 1, 0)
    assert first.words == other.words == "NEFTAB12"
