"""Prove anew, within a session, who one is: before acts that move money or rights."""

from collections.abc import Sequence
from uuid import UUID

from common import context, outbox
from common.clock import Clock
from common.context import Context
from common.database import Database, retried
from common.errors import DomainError
from identity.domain import second_factors
from identity.domain.changes import StepUpForm
from identity.domain.concealed import Concealed
from identity.domain.errors import PasswordWrong, SessionNotFound
from identity.domain.second_factors import SecondFactor
from identity.domain.sessions import OpenedSession, Session
from identity.domain.users import User
from identity.store import commands
from identity.store import second_factors as store
from identity.use_cases.batches import only
from identity.use_cases.logins import LoginAttempt, forgive, lock_attempts
from identity.use_cases.password_checks import PasswordChecks
from identity.use_cases.sessions import Sessions
from identity.wire import events


class StepUp(Concealed, frozen=True):
    """*user* as they were when the password was right."""

    user: User
    session_id: UUID | None
    code: str | None
    origin: Context


class StepUps:
    def __init__(self, db: Database, clock: Clock, checks: PasswordChecks, sessions: Sessions) -> None:
        self._db = db
        self._clock = clock
        self._checks = checks
        self._sessions = sessions

    async def step_up(self, form: StepUpForm) -> OpenedSession:
        """The same session, with tokens that say when and how its user has proved who they are; those from before do
        not, and its refresh token from before is not valid any more.

        Raises PasswordWrong, LoginThrottled, UserNotFound, SecondFactorRequired, SecondFactorInvalid, SessionNotFound.
        """
        user = await self._checks.verify(form.user_id, form.merchant_id, form.password)
        step_up = StepUp(user, form.session_id, form.code, context.current())
        user, session = only(await step_up_sessions(self._db, self._clock, self._sessions, [step_up]))
        return await self._sessions.issue(user, session)


@retried
async def step_up_sessions(
    db: Database, clock: Clock, open_sessions: Sessions, step_ups: Sequence[StepUp]
) -> list[tuple[User, Session] | DomainError]:
    """Mark each session as authenticated now."""
    results: list[tuple[User, Session] | DomainError] = []
    async with db.begin() as tx:
        attempts = [LoginAttempt(each.user.merchant_id, each.user.email, each.origin) for each in step_ups]
        throttles = await lock_attempts(tx, attempts, clock.now())
        users = await commands.lock_users(tx, {each.user.user_id for each in step_ups})
        factors = await store.read(tx, users)
        sessions = await commands.lock_sessions(tx, {each.session_id for each in step_ups if each.session_id})
        now = clock.now()
        audits = []
        used: dict[UUID, SecondFactor] = {}
        changed: dict[UUID, Session] = {}
        for each, attempt in zip(step_ups, attempts, strict=True):
            user = users.get(each.user.user_id)
            session = sessions.get(each.session_id) if each.session_id is not None else None
            if user is None or not user.is_active or user.password_hash != each.user.password_hash:
                results.append(PasswordWrong("the password has changed"))
                continue
            if session is None or session.user_id != user.user_id or not session.is_open(now):
                results.append(SessionNotFound("the session has ended"))
                continue
            factor = second_factors.checked(factors.get(user.user_id), each.code, now)
            if isinstance(factor, DomainError):
                results.append(factor)
                continue
            if factor is not None:
                factors[user.user_id] = used[user.user_id] = factor
            session = open_sessions.stepped_up(session, has_second_factor=factor is not None)
            sessions[session.session_id] = changed[session.session_id] = session
            forgive(throttles, attempt)
            audits.append(events.user_audit("user.stepped_up", user, each.origin, now))
            results.append((user, session))
        await commands.save_throttles(tx, throttles.values())
        await store.save(tx, list(used.values()))
        await commands.save_sessions(tx, list(changed.values()))
        await outbox.append(tx, audits)
    return results
