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
from identity.domain.sessions import Device, Rotation, Session, SessionPolicy
from identity.domain.throttles import Throttle
from identity.domain.users import Profile, SignUpForm, User

BuildUser = Callable[..., User]

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LIFE = timedelta(days=30)
POLICY = SessionPolicy(LIFE, life_max=timedelta(days=90), open_max=10)
SECOND = timedelta(seconds=1)


def session(user: User, token_hash: bytes = b"1" * 32) -> Session:
    return sessions.open_session(ids.new(), user, token_hash, Device("203.0.113.7", "tests"), NOW, POLICY)


def shown(opened: Session, generation: int, *, genuine: bool = True) -> Rotation:
    """A refresh with the token of *generation*, whose hash is its number."""
    return Rotation(opened.session_id, generation, _hash(generation), _hash(generation + 1), genuine)


def _hash(generation: int) -> bytes:
    return str(generation).encode() * 32


def test_each_token_is_good_once(user: BuildUser) -> None:
    current = session(user())
    for generation in range(1, 5):
        current, refusal = sessions.rotate(
            current, shown(current, generation), NOW + generation * timedelta(hours=1), POLICY
        )
        assert refusal is None
        assert (current.generation, current.token_hash) == (generation + 1, _hash(generation + 1))
        assert current.expires_at == NOW + generation * timedelta(hours=1) + LIFE


def test_a_lost_answer_may_be_asked_for_again_for_ten_seconds(user: BuildUser) -> None:
    opened = session(user())
    rotated, _ = sessions.rotate(opened, shown(opened, 1), NOW, POLICY)
    assert sessions.rotate(rotated, shown(opened, 1), NOW + 10 * SECOND, POLICY) == (rotated, None)
    ended, refusal = sessions.rotate(rotated, shown(opened, 1), NOW + 11 * SECOND, POLICY)
    assert isinstance(refusal, RefreshTokenReused)
    assert ended.revoked_because == "reused"


@pytest.mark.parametrize("generation", [1, 2])
def test_an_older_token_ends_the_session_at_once(user: BuildUser, generation: int) -> None:
    current = session(user())
    for number in (1, 2, 3):
        current, _ = sessions.rotate(current, shown(current, number), NOW, POLICY)
    ended, refusal = sessions.rotate(current, shown(current, generation), NOW, POLICY)
    assert isinstance(refusal, RefreshTokenReused)
    assert ended.revoked_at == NOW
    # And with it the youngest, which the thief or the victim still holds.
    assert isinstance(sessions.rotate(ended, shown(ended, 4), NOW, POLICY)[1], RefreshTokenInvalid)


@pytest.mark.parametrize("generation", [1, 2, 7])
def test_a_made_up_token_is_refused_and_harms_nobody(user: BuildUser, generation: int) -> None:
    current, _ = sessions.rotate(session(user()), shown(session(user()), 1), NOW, POLICY)
    forged = Rotation(current.session_id, generation, b"x" * 32, b"y" * 32, is_genuine=False)
    after, refusal = sessions.rotate(current, forged, NOW, POLICY)
    assert type(refusal) is RefreshTokenInvalid
    assert after == current


def test_a_session_ends_when_it_is_not_refreshed(user: BuildUser) -> None:
    opened = session(user())
    assert sessions.rotate(opened, shown(opened, 1), NOW + LIFE - SECOND, POLICY)[1] is None
    assert type(sessions.rotate(opened, shown(opened, 1), NOW + LIFE, POLICY)[1]) is RefreshTokenInvalid


def test_a_session_ends_however_often_it_is_refreshed(user: BuildUser) -> None:
    current, now, generation = session(user()), NOW, 0
    while True:
        now, generation = now + timedelta(days=7), generation + 1
        current, refusal = sessions.rotate(current, shown(current, generation), now, POLICY)
        if refusal is not None:
            break
        assert current.expires_at <= NOW + POLICY.life_max
    assert NOW + POLICY.life_max <= now < NOW + POLICY.life_max + timedelta(days=7)


def after_key_rotation(opened: Session, generation: int) -> Rotation:
    """The token of *generation* as it was made with the key before: its hash is known, its signature is not."""
    return Rotation(opened.session_id, generation, _hash(generation), b"n" * 32, is_genuine=False)


def test_refresh_tokens_survive_a_rotation_of_the_signing_key(user: BuildUser) -> None:
    current = session(user())
    for generation in range(1, 4):
        current, refusal = sessions.rotate(current, shown(current, generation), NOW, POLICY)
        assert refusal is None
    rotated, refusal = sessions.rotate(current, after_key_rotation(current, 4), NOW, POLICY)
    assert refusal is None
    assert (rotated.generation, rotated.token_hash) == (5, b"n" * 32)
    # The response got lost and the key changed in between: another token takes the lost one's place.
    again, refusal = sessions.rotate(rotated, after_key_rotation(rotated, 4), NOW + SECOND, POLICY)
    assert (again.generation, refusal) == (5, None)


@pytest.mark.parametrize("generation", [1, 2, 3])
def test_a_reused_token_of_the_key_before_still_ends_the_session(user: BuildUser, generation: int) -> None:
    current = session(user())
    for number in range(1, 5):
        current, _ = sessions.rotate(current, shown(current, number), NOW, POLICY)
    ended, refusal = sessions.rotate(current, after_key_rotation(current, generation), NOW, POLICY)
    assert isinstance(refusal, RefreshTokenReused)
    assert ended.revoked_because == "reused"


def test_what_a_session_remembers_is_bounded(user: BuildUser) -> None:
    current = session(user())
    for generation in range(1, 3 * sessions.RETIRED_MAX):
        current, refusal = sessions.rotate(current, shown(current, generation), NOW, POLICY)
        assert refusal is None
    assert len(current.retired_hashes) == sessions.RETIRED_MAX


@given(st.lists(st.integers(0, 100), max_size=30, unique=True), st.integers(1, 12))
def test_the_oldest_sessions_end(ages: list[int], open_max: int) -> None:
    device, owner = Device("", ""), ids.new()
    some = [Session(ids.new(), owner, 1, b"1" * 32, device, NOW - age * SECOND, NOW, NOW + LIFE, NOW) for age in ages]
    ended = sessions.supernumerary(some, open_max)
    assert len(some) - len(ended) == min(len(some), open_max)
    stay = [each for each in some if each not in ended]
    assert all(old.created_at < kept.created_at for old in ended for kept in stay)


@given(st.lists(st.integers(0, 3000), max_size=200))
def test_guessing_at_one_account_gets_slower_and_never_closes_it(pauses: list[int]) -> None:
    free, now, throttle = 10, NOW, Throttle(b"k" * 32, 0, NOW)
    allowed_at: list[datetime] = []
    for pause in pauses:
        now += pause * SECOND
        before = throttle
        throttle, allowed = throttles.admit_account(throttle, free, now)
        if allowed:
            allowed_at.append(now)
        else:
            assert throttle == before
        assert throttles.retry_after_seconds(throttle, now) <= 900 or throttle.blocked_until is None
    for start in allowed_at:
        within_a_day = [at for at in allowed_at if start <= at < start + timedelta(days=1)]
        assert len(within_a_day) <= free + 10 + 96


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
