"""E-mail addresses and phone numbers: one rule for the fleet, and one spelling of each to store and to compare."""

import re

import email_validator
import phonenumbers

from common.errors import RequestInvalid

PHONE_LENGTH_MAX = 32
_INDIA = "+91"
_LOCAL_PART_LENGTH_MAX = 64

# Most of what arrives looks like this, and the libraries take 50 and 30 µs for what these take one. A shortcut may
# accept only what its library accepts, with the same result: a property test compares them.
_plain_address = re.compile(
    r"(?=.{6,128}\Z)[A-Za-z0-9_+-]{1,60}(?:\.[A-Za-z0-9_+-]{1,60})?@(?:[a-z0-9]{1,60}\.){1,3}(?:com|in|org|net|test)"
).fullmatch
_indian_mobile = re.compile(r"(?:\+91|91|0)?([6-9][0-9]{9})", re.ASCII).fullmatch
_phone_characters = re.compile(r"\(?\+?[0-9][0-9() .-]*", re.ASCII).fullmatch


def email_address(text: str, *, field: str = "email", test_domains: bool = True) -> str:
    """*text* as it is stored: the domain in lower-case ASCII (punycode), the part before the @ untouched.

    Whether the domain receives mail is not looked up. Refused: quoted names, addresses in brackets, names that only
    SMTPUTF8 could carry, reserved domains, and with *test_domains* off (production) those under .test.
    Raises RequestInvalid about *field*.
    """
    if (
        _plain_address(text)
        and text.index("@") <= _LOCAL_PART_LENGTH_MAX
        and (test_domains or not text.endswith(".test"))
    ):
        return text
    try:
        address = email_validator.validate_email(
            text, check_deliverability=False, allow_smtputf8=False, strict=True, test_environment=test_domains
        )
    except email_validator.EmailNotValidError:
        raise RequestInvalid("an e-mail address is wrong", **{field: "is not an e-mail address"}) from None
    assert address.ascii_email is not None, "without SMTPUTF8 every address has an ASCII form"
    return address.ascii_email


def phone_number(text: str, region: str = "IN", *, field: str = "phone") -> str:
    """*text* in E.164, such as +919876543210. Without a country code it is a number of *region* (ISO 3166).

    Raises RequestInvalid about *field* for what nobody can be called under, with an extension, or written in letters.
    """
    if region == "IN" and (match := _indian_mobile(text)) is not None:
        return f"+91{match[1]}"
    if len(text) <= PHONE_LENGTH_MAX and _phone_characters(text):
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            pass
        else:
            if phonenumbers.is_valid_number(number):
                return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    raise RequestInvalid(
        "a phone number is wrong", **{field: "is not a phone number; from abroad it starts with + and the country code"}
    )


def national_number(country_code: str, text: str, *, field: str = "phone") -> str:
    """*text*, a number of the country with *country_code* (such as +91), as it is dialled after that code.

    The code and a leading zero may be repeated in *text*. Raises RequestInvalid about *field*, also for a number of
    another country.
    """
    complete = text if text.startswith("+") else country_code + text
    try:
        number = phone_number(complete, field=field)
    except RequestInvalid:
        # People write the code again without its plus: 91 98765 43210.
        number = phone_number("+" + text, field=field)
    if not number.startswith(country_code) or not _begins_with_calling_code(number, country_code):
        raise RequestInvalid("a phone number is wrong", **{field: "is not a number of this country code"})
    return number.removeprefix(country_code)


def _begins_with_calling_code(number: str, country_code: str) -> bool:
    """Whether *country_code* is that of *number*, with an area behind it where countries share one (+1246)."""
    return country_code == _INDIA or country_code.startswith(f"+{phonenumbers.parse(number).country_code}")
