import time

import pytest

from common.tokens import Caller, Revocation, Revocations, RevocationsUnknown, TokenRevoked, jwts
from common.tokens.revocations import CURRENT_SECONDS_MAX, LEEWAY_SECONDS

NOW = time.time()


class Monotonic:
    """Time that a test moves on."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def caller(*roles: str, session_id: str = "ses_1", user_version: int = 3, issued_at_seconds: float = NOW) -> Caller:
    return Caller(
        "usr_1",
        "mer_1",
        frozenset(roles),
        session_id=session_id,
        user_version=user_version,
        issued_at_seconds=int(issued_at_seconds),
    )


@pytest.fixture
def monotonic() -> Monotonic:
    return Monotonic()


@pytest.fixture
def revocations(monotonic: Monotonic) -> Revocations:
    """That know the present state."""
    confirmed = Revocations(monotonic=monotonic)
    confirmed.confirm(monotonic.now, 900)
    return confirmed


@pytest.mark.parametrize("roles", [["USER"], ["ADMIN"], []])
def test_a_session_that_ended_is_refused_and_others_are_not(revocations: Revocations, roles: list[str]) -> None:
    revocations.add([Revocation(NOW, session_id="ses_1")])
    with pytest.raises(TokenRevoked):
        revocations.check(caller(*roles))
    revocations.check(caller(*roles, session_id="ses_2"))
    revocations.check(caller(*roles, session_id=""))


def test_tokens_of_an_older_version_of_the_account_are_refused(revocations: Revocations) -> None:
    for version in (4, 3, 4, 2):  # in any order, and more than once
        revocations.add([Revocation(NOW, user_id="usr_1", user_version=version)])
    for version in (0, 1, 3):
        with pytest.raises(TokenRevoked):
            revocations.check(caller("USER", user_version=version))
    revocations.check(caller("USER", user_version=4))
    revocations.check(caller("ADMIN", user_version=5))


def test_while_the_state_is_unknown_members_go_on_and_staff_wait(monotonic: Monotonic) -> None:
    fresh = Revocations(monotonic=monotonic)
    for roles in (["ADMIN"], ["SUPPORT", "USER"], ["FINANCE"], ["OPERATOR"], ["ANYTHING"]):
        with pytest.raises(RevocationsUnknown):
            fresh.check(caller(*roles))
    for roles in ([], ["USER"], ["PROVIDER", "LAB_ASSISTANT"]):
        fresh.check(caller(*roles))
    fresh.confirm(monotonic.now, 900)
    fresh.check(caller("ADMIN"))
    monotonic.now += CURRENT_SECONDS_MAX - 0.1
    fresh.check(caller("ADMIN"))
    monotonic.now += 0.1
    with pytest.raises(RevocationsUnknown):
        fresh.check(caller("ADMIN"))
    # What is known is known all the same.
    fresh.add([Revocation(NOW, session_id="ses_1")])
    with pytest.raises(TokenRevoked):
        fresh.check(caller("USER"))


def test_the_bound_is_five_seconds() -> None:
    assert CURRENT_SECONDS_MAX < 5


def test_what_is_older_than_a_token_is_forgotten(revocations: Revocations, monotonic: Monotonic) -> None:
    now = time.time()  # which is long after this module was loaded, when all tests run
    revocations.add([Revocation(now - 1_000, session_id="ses_1"), Revocation(now - 1_000, user_id="u", user_version=1)])
    revocations.add([Revocation(now - 800, session_id="ses_2")])
    revocations.confirm(monotonic.now, 900)
    assert len(revocations) == 1


def test_what_revokes_a_token_that_is_still_accepted_is_not_forgotten(
    revocations: Revocations, monotonic: Monotonic
) -> None:
    """One that was issued just before expires 900 seconds after, and is accepted for a moment more."""
    assert LEEWAY_SECONDS > jwts.LEEWAY_SECONDS
    revoked_at = time.time() - 900 - jwts.LEEWAY_SECONDS
    revocations.add([Revocation(revoked_at, session_id="ses_1")])
    revocations.add([Revocation(revoked_at, user_id="usr_1", user_version=4)])
    revocations.confirm(monotonic.now, 900)
    for session_id in ("ses_1", "ses_2"):
        with pytest.raises(TokenRevoked):
            revocations.check(caller("USER", session_id=session_id, issued_at_seconds=revoked_at - 1))


def test_memory_is_bounded_and_what_it_forgets_stays_refused(monotonic: Monotonic) -> None:
    bounded = Revocations(remembered_max=10, monotonic=monotonic)
    bounded.confirm(monotonic.now, 900)
    bounded.add(Revocation(NOW - 100 + number, session_id=f"ses_{number}") for number in range(15))
    bounded.add(Revocation(NOW - 50 + number, user_id=f"usr_{number}", user_version=2) for number in range(3))
    assert len(bounded) == 10
    for number in range(15):
        with pytest.raises(TokenRevoked):
            bounded.check(caller("USER", session_id=f"ses_{number}", issued_at_seconds=NOW - 200))
    # A refreshed token is accepted.
    bounded.check(caller("USER", session_id="ses_new", issued_at_seconds=NOW))
