import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import names
from common.errors import RequestInvalid
from common.names import person_name, shown_name


@pytest.mark.parametrize(
    "name",
    [
        "Asha Rao",
        "A. P. J. Abdul Kalam",
        "A.P.J. Abdul Kalam",
        "Md.Arif",
        "S.Kumar",
        "Ramesh S/O Suresh",
        "O'Neil-D’Souza, Jr.",
        "ഹര്\u200dഷന്\u200d",
        "علی\u200cرضا",
        "ක්\u200dරිෂ්ණ",
        "आशा राव",
        "李小龍",
        "👨\u200d👩\u200d👧",
        "👩🏽\u200d⚕️ Asha",
        "Zoë",
        "X Æ A-12",
        "Zoe 24/7",
        "डॉ.भारत",
        "श्री.राम",
        "李。小龍",
    ],
)
def test_a_name_is_taken_as_it_is_written(name: str) -> None:
    assert person_name(name) == name
    assert shown_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " Asha",
        "Asha ",
        "x" * 121,
        "a\0b",
        "Asha\r\nBcc: x@y.in",
        "Asha\u202egnp",
        "Asha\u2066",
        "a\u200db",
        "a\u200cb",
        "\u200d",
        "👨\u200d",
        "Asha\u200b",
        "Asha\ud800",
        "Asha\u2028",
        "<b>Asha</b>",
        "{{7*7}}",
        "URGENT: your account is blocked, verify at http://evil.example/login",
        "verify at evil.com",
        "Verify At EVIL.CO.IN now",
        "WWW.evil",
        "asha@evil.com",
        "evil。example.com is where to log in",
        "evil。com",
        "evil．com",
        "evil｡com",
        "evil․com",
        "ｅｖｉｌ.ｃｏｍ",
        "“evil.com”",
        "evil.com_",
        "आशा.com",
        "ශ්\u200dරී.com",
        "asha＠evil",
        "http：／／evil",
        "Your account is blocked - call +91 98765 43210 today",
        "call 1800-123-4567",
        "98765.43210",
        "९८७६५४३२१०",
        "９８７６５４３２１０",
        "9_8_7_6_5_4_3",
    ],
)
def test_what_no_name_is_or_what_holds_a_link_or_a_number_is_refused(name: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        person_name(name, field="customerName")
    assert list(refused.value.fields) == ["customerName"]
    assert shown_name(name) == ""


@given(st.text())
def test_a_name_that_is_taken_is_one_line_that_mails_and_columns_carry(name: str) -> None:
    if not names.name_problem(name):
        assert not set(name) & set("\0\r\n<>\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
        name.encode()
        assert names.is_line(name)
