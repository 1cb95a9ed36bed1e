from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common import ids
from common.errors import DomainError
from identity.domain import sessions, throttles, users
from identity.domain.errors import RefreshTokenInvalid, RefreshTokenReused, RoleNotSelfService, UserInvalid
from identity.domain.sessions import Device, Rotation, Session
from identity.domain.throttles import Throttle
from identity.domain.users import Profile, SignUpForm, User

BuildUser = Callable[..., User]

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LIFE = timedelta(days=30)
SECOND = timedelta(seconds=1)


def session(user: User, token_hash: bytes = b"1" * 32) -> Session:
    return sessions.open_session(ids.new(), user, token_hash, Device("203.0.113.7", "tests"), NOW, LIFE)


def shown(opened: Session, generation: int, *, genuine: bool = True) -> Rotation:
    """A refresh with the token of *generation*, whose hash is its number."""
    return Rotation(opened.session_id, generation, _hash(generation), _hash(generation + 1), genuine)


def _hash(generation: int) -> bytes:
    return str(generation).encode() * 32


def test_each_token_is_good_once(user: BuildUser) -> None:
    current = session(user())
    for generation in range(1, 5):
        current, refusal = sessions.rotate(
            current, shown(current, generation), NOW + generation * timedelta(hours=1), LIFE
        )
        assert refusal is None
        assert (current.generation, current.token_hash) == (generation + 1, _hash(generation + 1))
        assert current.expires_at == NOW + generation * timedelta(hours=1) + LIFE


def test_a_lost_answer_may_be_asked_for_again_for_ten_seconds(user: BuildUser) -> None:
    opened = session(user())
    rotated, _ = sessions.rotate(opened, shown(opened, 1), NOW, LIFE)
    assert sessions.rotate(rotated, shown(opened, 1), NOW + 10 * SECOND, LIFE) == (rotated, None)
    ended, refusal = sessions.rotate(rotated, shown(opened, 1), NOW + 11 * SECOND, LIFE)
    assert isinstance(refusal, RefreshTokenReused)
    assert ended.revoked_because == "reused"


@pytest.mark.parametrize("generation", [1, 2])
def test_an_older_token_ends_the_session_at_once(user: BuildUser, generation: int) -> None:
    current = session(user())
    for number in (1, 2, 3):
        current, _ = sessions.rotate(current, shown(current, number), NOW, LIFE)
    ended, refusal = sessions.rotate(current, shown(current, generation), NOW, LIFE)
    assert isinstance(refusal, RefreshTokenReused)
    assert ended.revoked_at == NOW
    # And with it the youngest, which the thief or the victim still holds.
    assert isinstance(sessions.rotate(ended, shown(ended, 4), NOW, LIFE)[1], RefreshTokenInvalid)


@pytest.mark.parametrize("generation", [1, 2, 7])
def test_a_made_up_token_is_refused_and_harms_nobody(user: BuildUser, generation: int) -> None:
    current, _ = sessions.rotate(session(user()), shown(session(user()), 1), NOW, LIFE)
    forged = Rotation(current.session_id, generation, b"x" * 32, b"y" * 32, is_genuine=False)
    after, refusal = sessions.rotate(current, forged, NOW, LIFE)
    assert type(refusal) is RefreshTokenInvalid
    assert after == current


def test_a_session_ends_when_it_is_not_refreshed(user: BuildUser) -> None:
    opened = session(user())
    assert sessions.rotate(opened, shown(opened, 1), NOW + LIFE - SECOND, LIFE)[1] is None
    assert type(sessions.rotate(opened, shown(opened, 1), NOW + LIFE, LIFE)[1]) is RefreshTokenInvalid


@given(st.lists(st.integers(0, 2000), max_size=60), st.integers(1, 8))
def test_no_window_lets_more_than_the_limit_through(pauses: list[int], limit: int) -> None:
    window, now = timedelta(seconds=900), NOW
    throttle, allowed_at = Throttle(b"k" * 32, 0, NOW), []
    for pause in pauses:
        now += pause * SECOND
        throttle, allowed = throttles.admit(throttle, limit, window, now)
        assert throttles.retry_after_seconds(throttle, now) <= 900
        if allowed:
            allowed_at.append((throttle.window_ends_at, now))
    for end in {end for end, _ in allowed_at}:
        assert sum(each == end for each, _ in allowed_at) <= limit


GOOD = {"email": "asha@example.com", "password": "correct horse", "role": "USER"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "asha"}, "email"),
        ({"email": "asha@localhost"}, "email"),
        ({"email": "asha@exa mple.com"}, "email"),
        ({"email": "asha..rao@example.com"}, "email"),
        ({"email": "asha@example.com\n"}, "email"),
        ({"email": "asha\x00@example.com"}, "email"),
        ({"email": "a" * 64 + "@" + "b" * 60 + "." + ("c" * 60 + ".") * 3 + "com"}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"password": "Password123"}, "password"),
        ({"password": "aaaabbbb"}, "password"),
        ({"password": "ASHA@example.com"}, "password"),
        ({"confirmation": "another horse"}, "confirmPassword"),
        ({"name": ""}, "name"),
        ({"name": " Asha"}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"name": "<script>"}, "name"),
        ({"name": "Asha\u202eRao"}, "name"),
        ({"name": "a\u200db"}, "name"),
        ({"name": "verify at http://evil.example"}, "name"),
        ({"mobile_number": "+1 415 555 2671"}, "mobileNumber"),
        ({"mobile_number": "98765"}, "mobileNumber"),
        ({"mobile_number": "९८७६५४३२१०"}, "mobileNumber"),
        ({"country_code": "91"}, "countryCode"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, str], field: str) -> None:
    with pytest.raises(UserInvalid) as caught:
        _checked(**changes)
    assert set(caught.value.fields) == {field}


def _checked(**changes: str) -> SignUpForm:
    entered = {"name": "Asha Rao", "mobile_number": "9876543210", "country_code": "+91"} | GOOD | changes
    form = SignUpForm(
        email=entered["email"],
        profile=Profile(entered["name"], entered["mobile_number"], entered["country_code"]),
        password=entered["password"],
        confirmation=entered.get("confirmation", entered["password"]),
        role=entered["role"],
    )
    return users.checked_form(form, test_domains=False)


@pytest.mark.parametrize(
    "name",
    ["Asha Rao", "अशा राव", "O'Brien-Smith", "李", "Renée", "ഹര്\u200dഷന്\u200d", "علی\u200cرضا", "👨\u200d👩\u200d👧"],
)
def test_people_have_their_own_names(name: str) -> None:
    assert _checked(name=name).profile.name == name


@pytest.mark.parametrize("number", ["9876543210", "09876543210", "919876543210", "+91 98765 43210"])
def test_a_number_is_taken_however_it_is_written(number: str) -> None:
    form = _checked(mobile_number=number)
    assert (form.profile.mobile_number, form.profile.phone) == ("9876543210", "+919876543210")


@pytest.mark.parametrize("role", ["ADMIN", "SUPPORT", "FINANCE", "LAB_ASSISTANT", "user", "", "x" * 99])
def test_nobody_takes_a_role_that_must_be_granted(role: str) -> None:
    with pytest.raises(RoleNotSelfService):
        _checked(role=role)


def test_several_wrong_fields_are_named_together() -> None:
    with pytest.raises(DomainError) as caught:
        _checked(email="x", name="", password="y")
    assert set(caught.value.fields) == {"email", "name", "password"}


def test_contacts_are_stored_in_one_spelling() -> None:
    form = _checked(email="Asha@EXAMPLE.com", mobile_number="098765-43210")
    assert form.email == "Asha@example.com"
    assert (form.profile.mobile_number, form.profile.phone) == ("9876543210", "+919876543210")


def test_a_number_without_a_country_code_is_indian() -> None:
    profile = users.checked_profile(Profile("Asha Rao", "9876543210", None))
    assert profile.phone == "+919876543210"


def test_addresses_under_test_are_for_tests() -> None:
    form = SignUpForm("asha@shop.test", Profile("Asha Rao", None, None), "correct horse", "correct horse", "USER")
    assert users.checked_form(form, test_domains=True).email == "asha@shop.test"
    with pytest.raises(UserInvalid):
        users.checked_form(form, test_domains=False)


def test_a_password_does_not_show(user: BuildUser) -> None:
    someone = replace(user(), password_hash="$argon2id$secret")
    assert "secret" not in repr(someone)
