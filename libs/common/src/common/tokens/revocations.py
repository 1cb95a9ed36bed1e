"""Accesses that ended before their tokens did, in this process's memory: a signature cannot tell.

common.revocation_feed fills it. While the present state is unknown, members are admitted, because their tokens are
short-lived and give access to their own data only; callers with a privileged role are refused (503), because a
dismissed administrator must not act.
"""

import time
from collections.abc import Callable, Iterable

from loguru import logger
from msgspec import Struct

from common.errors import Unauthenticated, Unavailable
from common.tokens.callers import Caller

# What was read so long ago is not the present state any more. A revocation is known everywhere, or its user refused,
# after this and the time that a commit takes: within five seconds.
CURRENT_SECONDS_MAX = 4.0
# Sessions and users; beyond it the oldest are forgotten, and every token that is older than they has to be refreshed.
REMEMBERED_MAX = 100_000
# Tokens that have expired are accepted for a moment (`jwts.LEEWAY_SECONDS`), and this machine's clock may be ahead of
# identity's. Identity keeps what it announced for as long (`identity.use_cases.revocations.LEEWAY`).
LEEWAY_SECONDS = 60.0


class TokenRevoked(Unauthenticated):
    """The access token's session has ended, or its user's rights have changed since it was issued."""

    fix = "Refresh the access token; if that is refused, log in again."


class RevocationsUnknown(Unavailable):
    """Whose access was revoked is not known here for the moment, so callers with a privileged role are not let in."""

    fix = "Send the same request again after Retry-After; the operators see that identity cannot be reached."


class Revocation(Struct, frozen=True):
    """The end of one session, or of all tokens that a user got before the version *user_version* of their account."""

    revoked_at_seconds: float
    session_id: str = ""
    user_id: str = ""
    user_version: int = 0


class Revocations:
    """What was revoked for as long as access tokens live."""

    def __init__(
        self, *, remembered_max: int = REMEMBERED_MAX, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._remembered_max = remembered_max
        self._monotonic = monotonic
        self._current_until = float("-inf")
        self._sessions: dict[str, float] = {}
        self._users: dict[str, Revocation] = {}
        # Tokens of all users that were issued before are refused.
        self._floor_seconds = float("-inf")

    @property
    def is_current(self) -> bool:
        return self._monotonic() < self._current_until

    def add(self, revocations: Iterable[Revocation]) -> None:
        """Refuse these from now on. They may come twice and in any order."""
        for revocation in revocations:
            if revocation.session_id:
                self._sessions.setdefault(revocation.session_id, revocation.revoked_at_seconds)
            elif revocation.user_id:
                latest = self._users.get(revocation.user_id)
                if latest is None or latest.user_version < revocation.user_version:
                    self._users.pop(revocation.user_id, None)
                    self._users[revocation.user_id] = revocation
        while len(self._sessions) + len(self._users) > self._remembered_max:
            self._forget_oldest()

    def confirm(self, as_of: float, token_life_seconds: float) -> None:
        """Everything that was revoked until *as_of* (monotonic time) has been added.

        What is older than a token's life and LEEWAY_SECONDS is moot. Infinity is for tests.
        """
        self._current_until = max(self._current_until, as_of + CURRENT_SECONDS_MAX)
        moot = time.time() - token_life_seconds - LEEWAY_SECONDS
        for session_id in [each for each, at in self._sessions.items() if at < moot]:
            del self._sessions[session_id]
        for user_id in [each for each, revocation in self._users.items() if revocation.revoked_at_seconds < moot]:
            del self._users[user_id]

    def check(self, caller: Caller) -> None:
        """Raises TokenRevoked, or RevocationsUnknown when that is unknown of a caller with a privileged role."""
        if caller.session_id in self._sessions or caller.issued_at_seconds < self._floor_seconds:
            raise TokenRevoked("the session has ended")
        revocation = self._users.get(caller.user_id)
        if revocation is not None and caller.user_version < revocation.user_version:
            raise TokenRevoked("your rights have changed")
        if caller.is_privileged and not self.is_current:
            raise RevocationsUnknown("identity cannot be reached")

    def __len__(self) -> int:
        return len(self._sessions) + len(self._users)

    def _forget_oldest(self) -> None:
        oldest_session = next(iter(self._sessions.items()), ("", float("inf")))
        oldest_user = next(iter(self._users.values()), None)
        if oldest_user is None or oldest_session[1] <= oldest_user.revoked_at_seconds:
            del self._sessions[oldest_session[0]]
            floor = oldest_session[1]
        else:
            del self._users[oldest_user.user_id]
            floor = oldest_user.revoked_at_seconds
        if self._floor_seconds == float("-inf"):
            logger.error("more revocations than can be remembered: older tokens are refused whoever's they are")
        self._floor_seconds = max(self._floor_seconds, floor + 1)
