import email_validator
import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contacts import email_address, national_number, phone_number
from common.errors import RequestInvalid


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("asha.rao@example.com", "asha.rao@example.com"),
        ("Asha.Rao@Example.COM", "Asha.Rao@example.com"),
        ("a@b.test", "a@b.test"),
        ("a+tag@x.co", "a+tag@x.co"),
        ("o'neil@x.ie", "o'neil@x.ie"),
        ("a@exämple.de", "a@xn--exmple-cua.de"),
        ("a@xn--exmple-cua.de", "a@xn--exmple-cua.de"),
        ("rao@भारत.भारत", "rao@xn--h2brj9c.xn--h2brj9c"),
        ("a" * 64 + "@x.com", "a" * 64 + "@x.com"),
    ],
)
def test_an_address_has_one_spelling(text: str, stored: str):
    assert email_address(text) == stored
    assert email_address(stored) == stored


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "a",
        "a@",
        "@x.com",
        "asha.rao.@example.com",
        ".asha@example.com",
        "a..b@example.com",
        "a@b..com",
        "a@@b.com",
        "a@x.com,b@y.com",
        "a@x.com b@y.com",
        "Asha <a@x.com>",
        '"a b"@x.com',
        "a@[192.0.2.1]",
        "a@localhost",
        "a@example",
        "a@x.local",
        "a@-x.com",
        "a@x-.com",
        "a@x_y.com",
        "a@123.456",
        "a@x.com.",
        " a@x.com",
        "a@x.com\n",
        "a@x.com\r\nBcc: b@y.com",
        "a\0@x.com",
        "é@x.com",
        "ａ@example.com",
        "a" * 65 + "@x.com",
        "a@" + "b" * 64 + ".com",
        "a@" + "b." * 130 + "com",
    ],
)
def test_what_no_mail_can_be_sent_to_is_refused(text: str):
    with pytest.raises(RequestInvalid) as refused:
        email_address(text, field="customerEmail")
    assert refused.value.code == "request_invalid"
    assert list(refused.value.fields) == ["customerEmail"]


def test_production_takes_no_test_domains():
    assert email_address("a@x.com", test_domains=False) == "a@x.com"
    for text in ("a@b.test", "A@B.Test"):
        with pytest.raises(RequestInvalid):
            email_address(text, test_domains=False)


_NAME = st.from_regex(r"[A-Za-z0-9_+.-]{1,70}", fullmatch=True)
_DOMAIN = st.from_regex(r"[a-z0-9.-]{1,20}\.(com|in|org|net|test)", fullmatch=True)


@given(_NAME, _DOMAIN)
def test_the_shortcut_for_addresses_agrees_with_the_library(name: str, domain: str):
    text = f"{name}@{domain}"
    try:
        expected = email_validator.validate_email(
            text, check_deliverability=False, allow_smtputf8=False, strict=True, test_environment=True
        ).ascii_email
    except email_validator.EmailNotValidError:
        expected = None
    try:
        assert email_address(text) == expected
    except RequestInvalid:
        assert expected is None


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("9876543210", "+919876543210"),
        ("09876543210", "+919876543210"),
        ("919876543210", "+919876543210"),
        ("+919876543210", "+919876543210"),
        ("+91 98765 43210", "+919876543210"),
        ("98765-43210", "+919876543210"),
        ("(+91) 98765 43210", "+919876543210"),
        ("0091 98765 43210", "+919876543210"),
        ("+1 415 555 2671", "+14155552671"),
        ("+1 (415) 555-2671", "+14155552671"),
        ("+971 50 123 4567", "+971501234567"),
        ("+971501234567", "+971501234567"),
    ],
)
def test_a_number_has_one_spelling(text: str, stored: str):
    assert phone_number(text) == stored
    assert phone_number(stored) == stored


def test_a_number_without_a_country_is_the_regions():
    assert phone_number("(415) 555-2671", "US") == "+14155552671"
    assert phone_number("050 123 4567", "AE") == "+971501234567"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "12345",
        "98765",
        "98765432101",
        "+91987654321",
        "+9198765432100",
        "+1 555",
        "+999 1234567890",
        "98765 43210 ext 5",
        "+1 800 FLOWERS",
        "tel:+919876543210",
        "９８７６５４３２１０",
        "9876543210\n",
        "9876543210\0",
        "++919876543210",
        "9" * 100,
        "asha",
    ],
)
def test_what_nobody_can_be_called_under_is_refused(text: str):
    with pytest.raises(RequestInvalid) as refused:
        phone_number(text, field="customerPhone")
    assert list(refused.value.fields) == ["customerPhone"]


@given(st.from_regex(r"(?:\+91|91|0)?[0-9]{9,11}", fullmatch=True))
def test_the_shortcut_for_numbers_agrees_with_the_library(text: str):
    try:
        number = phonenumbers.parse(text, "IN")
    except phonenumbers.NumberParseException:  # 00 and a country code that is nobody's
        with pytest.raises(RequestInvalid):
            phone_number(text)
        return
    valid = phonenumbers.is_valid_number(number)
    try:
        stored = phone_number(text)
    except RequestInvalid:
        assert not valid
    else:
        assert valid
        assert stored == phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@pytest.mark.parametrize(
    ("country_code", "text", "national"),
    [
        ("+91", "9876543210", "9876543210"),
        ("+91", "09876543210", "9876543210"),
        ("+91", "919876543210", "9876543210"),
        ("+91", "+919876543210", "9876543210"),
        ("+91", "98765 43210", "9876543210"),
        ("+1", "(415) 555-2671", "4155552671"),
        ("+1", "1 415 555 2671", "4155552671"),
        ("+1246", "250 1234", "2501234"),
        ("+971", "50 123 4567", "501234567"),
        ("+971", "0501234567", "501234567"),
    ],
)
def test_a_number_is_kept_as_it_is_dialled_after_its_code(country_code: str, text: str, national: str):
    assert national_number(country_code, text) == national
    assert national_number(country_code, national) == national


@pytest.mark.parametrize(
    ("country_code", "text"),
    [
        ("+91", ""),
        ("+91", "12345"),
        ("+91", "+14155552671"),
        ("+97", "1 50 123 4567"),
        ("+1", "9876543210"),
        ("+91", "\0"),
    ],
)
def test_a_number_of_another_country_is_refused(country_code: str, text: str):
    with pytest.raises(RequestInvalid) as refused:
        national_number(country_code, text, field="mobileNumber")
    assert list(refused.value.fields) == ["mobileNumber"]
