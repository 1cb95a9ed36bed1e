"""Second factors: RFC 6238's own examples, replay, recovery codes; when a session has to step up."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common import ids
from common.errors import SecondFactorMissing, StepUpRequired
from identity.domain import sessions, step_up
from identity.domain.access import Act
from identity.domain.errors import RefreshTokenReused, SecondFactorInvalid, SecondFactorRequired
from identity.domain.second_factors import SecondFactor, checked, code_of, recovery_hash, step_at, used
from identity.domain.sessions import Device, Rotation, Session, SessionPolicy
from identity.domain.step_up import StepUpPolicy

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = b"12345678901234567890"
USER = ids.new()
FACTOR = SecondFactor(USER, SECRET, 0, (recovery_hash("abcd-efgh-ijkl-mnop"),), NOW, NOW)
SESSION = Session(ids.new(), USER, 1, b"1" * 32, Device("", ""), NOW, NOW, NOW + timedelta(days=1), NOW)
SESSION_POLICY = SessionPolicy(timedelta(days=30), timedelta(days=90), 10)
ACT = Act(USER, "mer_commdesk", SESSION.session_id, frozenset({"ADMIN"}), int(NOW.timestamp()), frozenset({"pwd"}))


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    """Appendix B, SHA-1, the last six of its eight digits."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert code_of(SECRET, step_at(moment)) == code
    assert used(FACTOR, code, moment) is not None


@pytest.mark.parametrize("steps", range(-4, 5))
def test_a_code_is_good_for_a_step_before_and_after_and_once(steps: int) -> None:
    code = code_of(SECRET, step_at(NOW) + steps)
    after = used(FACTOR, f" {code[:3]} {code[3:]} ", NOW)
    assert (after is not None) is (abs(steps) <= 1)
    if after is not None:
        for moment in (NOW, NOW + timedelta(seconds=30)):
            assert used(after, code, moment) is None, "the same code was accepted twice"
        # Nor is an older one, once a newer was used.
        older = code_of(SECRET, step_at(NOW) + steps - 1)
        assert used(after, older, NOW) is None


def test_a_recovery_code_is_good_for_once() -> None:
    after = used(FACTOR, "ABCD EFGH ijkl mnop", NOW)
    assert after is not None
    assert after.recovery_hashes == ()
    assert used(after, "abcd-efgh-ijkl-mnop", NOW) is None


@given(st.text())
def test_any_other_text_is_wrong(code: str) -> None:
    if code.strip().isdigit():
        return
    assert used(FACTOR, code, NOW) is None


def test_what_an_account_needs() -> None:
    code = code_of(SECRET, step_at(NOW))
    unconfirmed = replace(FACTOR, confirmed_at=None)
    assert checked(None, None, NOW) is None
    assert checked(unconfirmed, None, NOW) is None
    assert isinstance(checked(None, code, NOW), SecondFactorInvalid)
    assert isinstance(checked(unconfirmed, code, NOW), SecondFactorInvalid)
    assert isinstance(checked(FACTOR, None, NOW), SecondFactorRequired)
    assert isinstance(checked(FACTOR, "", NOW), SecondFactorInvalid)
    assert isinstance(checked(FACTOR, code, NOW), SecondFactor)


@pytest.mark.parametrize("is_required", [True, False])
@pytest.mark.parametrize("account_has", [True, False])
@pytest.mark.parametrize("session_has", [True, False])
@pytest.mark.parametrize("token_has", [True, False])
@pytest.mark.parametrize("token_seconds", [0, 900, 901])
@pytest.mark.parametrize("seconds", [0, 900, 901])
def test_when_a_session_has_to_step_up(
    is_required: bool, account_has: bool, session_has: bool, token_has: bool, token_seconds: int, seconds: int
) -> None:
    """The session and the token of the act: a token from before a step-up is not lifted by it."""
    policy = StepUpPolicy(timedelta(seconds=900), is_required)
    session = replace(SESSION, has_second_factor=session_has, authenticated_at=NOW - timedelta(seconds=seconds))
    act = replace(
        ACT,
        authenticated_at_seconds=int(NOW.timestamp()) - token_seconds,
        methods=frozenset({"otp", "pwd"} if token_has else {"pwd"}),
    )
    refusal = step_up.refusal(act, session, account_has, policy, NOW)
    expected: type | None = None
    if is_required and not account_has:
        expected = SecondFactorMissing
    elif (account_has and not (session_has and token_has)) or max(seconds, token_seconds) > 900:
        expected = StepUpRequired
    assert (None if refusal is None else type(refusal)) is expected


@pytest.mark.parametrize("seconds", [0, 1, 60])
def test_a_refresh_token_from_before_a_step_up_ends_its_session(seconds: int) -> None:
    """Also within the seconds in which the last refresh may be repeated: it would get what the step-up has proved."""
    after = sessions.step_up(SESSION, b"3" * 32, has_second_factor=True, now=NOW, policy=SESSION_POLICY)
    assert (after.authenticated_at, after.has_second_factor) == (NOW, True)
    now = NOW + timedelta(seconds=seconds)
    before = Rotation(SESSION.session_id, 1, SESSION.token_hash, b"2" * 32, is_genuine=True)
    ended, refusal = sessions.rotate(after, before, now, SESSION_POLICY)
    assert isinstance(refusal, RefreshTokenReused)
    assert ended.revoked_because == "reused"
    following = Rotation(SESSION.session_id, sessions.next_of_renewal(SESSION), b"3" * 32, b"4" * 32, is_genuine=True)
    refreshed, refusal = sessions.rotate(after, following, now, SESSION_POLICY)
    assert refusal is None
    assert refreshed.token_hash == b"4" * 32
