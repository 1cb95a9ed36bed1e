from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import ids
from common.errors import DomainError
from identity import domain
from identity.domain import Device, Profile, Rotation, Throttle

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LIFE = timedelta(days=30)
SECOND = timedelta(seconds=1)


def session(user, token_hash=b"1" * 32):
    return domain.open_session(ids.new(), user, token_hash, Device("203.0.113.7", "tests"), NOW, LIFE)


def shown(opened, generation, *, genuine=True):
    """A refresh with the token of *generation*, whose hash is its number."""
    return Rotation(opened.session_id, generation, _hash(generation), _hash(generation + 1), genuine)


def _hash(generation):
    return str(generation).encode() * 32


def test_each_token_is_good_once(user):
    current = session(user())
    for generation in range(1, 5):
        current, refusal = domain.rotate(
            current, shown(current, generation), NOW + generation * timedelta(hours=1), LIFE
        )
        assert refusal is None
        assert (current.generation, current.token_hash) == (generation + 1, _hash(generation + 1))
        assert current.expires_at == NOW + generation * timedelta(hours=1) + LIFE


def test_a_lost_answer_may_be_asked_for_again_for_ten_seconds(user):
    opened = session(user())
    rotated, _ = domain.rotate(opened, shown(opened, 1), NOW, LIFE)
    assert domain.rotate(rotated, shown(opened, 1), NOW + 10 * SECOND, LIFE) == (rotated, None)
    ended, refusal = domain.rotate(rotated, shown(opened, 1), NOW + 11 * SECOND, LIFE)
    assert isinstance(refusal, domain.RefreshTokenReused)
    assert ended.revoked_because == "reused"


@pytest.mark.parametrize("generation", [1, 2])
def test_an_older_token_ends_the_session_at_once(user, generation):
    current = session(user())
    for number in (1, 2, 3):
        current, _ = domain.rotate(current, shown(current, number), NOW, LIFE)
    ended, refusal = domain.rotate(current, shown(current, generation), NOW, LIFE)
    assert isinstance(refusal, domain.RefreshTokenReused)
    assert ended.revoked_at == NOW
    # And with it the youngest, which the thief or the victim still holds.
    assert isinstance(domain.rotate(ended, shown(ended, 4), NOW, LIFE)[1], domain.RefreshTokenInvalid)


@pytest.mark.parametrize("generation", [1, 2, 7])
def test_a_made_up_token_is_refused_and_harms_nobody(user, generation):
    current, _ = domain.rotate(session(user()), shown(session(user()), 1), NOW, LIFE)
    forged = Rotation(current.session_id, generation, b"x" * 32, b"y" * 32, is_genuine=False)
    after, refusal = domain.rotate(current, forged, NOW, LIFE)
    assert type(refusal) is domain.RefreshTokenInvalid
    assert after == current


def test_a_session_ends_when_it_is_not_refreshed(user):
    opened = session(user())
    assert domain.rotate(opened, shown(opened, 1), NOW + LIFE - SECOND, LIFE)[1] is None
    assert type(domain.rotate(opened, shown(opened, 1), NOW + LIFE, LIFE)[1]) is domain.RefreshTokenInvalid
    assert type(domain.rotate(None, shown(opened, 1), NOW, LIFE)[1]) is domain.RefreshTokenInvalid


@given(st.lists(st.integers(0, 2000), max_size=60), st.integers(1, 8))
def test_no_window_lets_more_than_the_limit_through(pauses, limit):
    window, now = timedelta(seconds=900), NOW
    throttle, allowed_at = Throttle(b"k" * 32, 0, NOW), []
    for pause in pauses:
        now += pause * SECOND
        throttle, allowed = domain.admit(throttle, limit, window, now)
        assert domain.waiting_time(throttle, now) <= 900
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
        ({"mobile_number": "98765"}, "mobileNumber"),
        ({"mobile_number": "९८७६५४३२१०"}, "mobileNumber"),
        ({"country_code": "91"}, "countryCode"),
    ],
)
def test_a_wrong_field_is_named(changes, field):
    with pytest.raises(domain.InvalidUser) as caught:
        _check(**changes)
    assert set(caught.value.fields) == {field}


def _check(**changes):
    given = {"name": "Asha Rao", "mobile_number": "9876543210", "country_code": "+91"} | GOOD | changes
    profile = Profile(given["name"], given["mobile_number"], given["country_code"])
    confirmation = given.get("confirmation", given["password"])
    domain.check_new_user(given["email"], profile, given["password"], confirmation, given["role"])


@pytest.mark.parametrize("name", ["Asha Rao", "अशा राव", "O'Brien-Smith", "李", "Renée"])
def test_people_have_their_own_names(name):
    _check(name=name)


@pytest.mark.parametrize("role", ["ADMIN", "SUPPORT", "FINANCE", "LAB_ASSISTANT", "user", "", "x" * 99])
def test_nobody_takes_a_role_that_must_be_granted(role):
    with pytest.raises(domain.RoleNotSelfService):
        _check(role=role)


def test_several_wrong_fields_are_named_together():
    with pytest.raises(DomainError) as caught:
        _check(email="x", name="", password="y")
    assert set(caught.value.fields) == {"email", "name", "password"}


def test_a_password_does_not_show(user):
    someone = replace(user(), password_hash="$argon2id$secret")
    assert "secret" not in repr(someone)
