"""Second factors: RFC 6238's own examples, replay, recovery codes; when a session has to step up."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common import ids
from common.errors import SecondFactorMissing, StepUpRequired
from identity.domain import step_up
from identity.domain.errors import SecondFactorInvalid, SecondFactorRequired
from identity.domain.second_factors import SecondFactor, checked, code_of, recovery_hash, step_at, used
from identity.domain.sessions import Device, Session
from identity.domain.step_up import StepUpPolicy

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = b"12345678901234567890"
USER = ids.new()
FACTOR = SecondFactor(USER, SECRET, 0, (recovery_hash("abcd-efgh-ijkl-mnop"),), NOW, NOW)
SESSION = Session(ids.new(), USER, 1, b"1" * 32, Device("", ""), NOW, NOW, NOW + timedelta(days=1), NOW)
POLICY = StepUpPolicy(timedelta(minutes=15), second_factor_required=False)


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
@pytest.mark.parametrize("seconds", [0, 900, 901])
def test_when_a_session_has_to_step_up(is_required: bool, account_has: bool, session_has: bool, seconds: int) -> None:
    policy = StepUpPolicy(timedelta(seconds=900), is_required)
    session = replace(SESSION, has_second_factor=session_has)
    refusal = step_up.refusal(session, account_has, policy, NOW + timedelta(seconds=seconds))
    expected: type | None = None
    if is_required and not account_has:
        expected = SecondFactorMissing
    elif (account_has and not session_has) or seconds > 900:
        expected = StepUpRequired
    assert (None if refusal is None else type(refusal)) is expected
