"""Who may change whose access: decided by the database under its locks, never by what a token says."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

import pytest

from common import ids
from common.clock import FakeClock
from common.context import Context
from common.database import Database
from common.errors import DomainError, RightsOutdated
from common.testing import published
from identity.domain.changes import AccessChange
from identity.domain.errors import AdministratorIsLast, RoleUnknown, UserNotFound
from identity.domain.users import Access, Status, User
from identity.use_cases import users
from identity.use_cases.access import change_access
from identity.use_cases.sign_ups import SignUp, sign_up_users
from services.identity.tests.conftest import MAILS

BuildUser = Callable[..., User]
Enrol = Callable[..., Awaitable[User]]
HERE = Context(ip="203.0.113.7", request_id="r")


@pytest.fixture
def enrol(db: Database, clock: FakeClock, user: BuildUser) -> Enrol:
    """A user in the database; an active administrator by default."""

    async def enrol(roles: Iterable[str] = ("USER", "ADMIN"), status: Status = Status.ACTIVE) -> User:
        new = user(user_id=ids.new(), email=f"{ids.new().hex}@example.com", access=Access(status, frozenset(roles)))
        [result] = await sign_up_users(db, clock, MAILS, [SignUp(new, HERE)])
        assert isinstance(result, User)
        return result

    return enrol


def change(actor: User, user: User, roles: set[str] | None = None, status: Status | None = None) -> AccessChange:
    new_roles = None if roles is None else frozenset(roles)
    actor_name = ids.encode("usr", actor.user_id)
    return AccessChange(user.user_id, "mer_commdesk", new_roles, status, actor.user_id, actor_name, HERE)


async def apply(db: Database, clock: FakeClock, *changes: AccessChange) -> list[type]:
    return [type(result) for result in await change_access(db, clock, changes)]


async def roles_of(db: Database, user: User) -> tuple[Status, frozenset[str]]:
    [stored] = await users.list_users(db, {user.user_id})
    return stored.access.status, stored.access.roles


@pytest.mark.parametrize("dismissal", [{"roles": {"USER"}}, {"status": Status.INACTIVE}])
async def test_a_dismissed_administrator_changes_nobodys_access(
    db: Database, clock: FakeClock, enrol: Enrol, dismissal: dict[str, object]
) -> None:
    root, mallory, member = await enrol(), await enrol(), await enrol({"USER"})
    assert await apply(db, clock, change(root, mallory, **dismissal)) == [User]  # type: ignore[arg-type]
    before = [await roles_of(db, each) for each in (root, mallory, member)]
    attempts = [
        change(mallory, mallory, {"USER", "ADMIN"}, Status.ACTIVE),
        change(mallory, root, status=Status.INACTIVE),
        change(mallory, root, {"USER"}),
        change(mallory, member, {"ADMIN"}),
        change(mallory, member),
    ]
    assert await apply(db, clock, *attempts) == [RightsOutdated] * 5
    assert [await roles_of(db, each) for each in (root, mallory, member)] == before
    assert len(await published(db, "audit.recorded")) == 4  # three sign-ups and the dismissal


async def test_an_actor_who_was_never_here_or_is_no_administrator_is_refused(
    db: Database, clock: FakeClock, enrol: Enrol, user: BuildUser
) -> None:
    root, support = await enrol(), await enrol({"SUPPORT", "FINANCE"})
    stranger = user(user_id=ids.new())
    attempts = [change(actor, root, {"USER"}) for actor in (stranger, support)]
    attempts.append(change(stranger, stranger, {"ADMIN"}))
    assert await apply(db, clock, *attempts) == [RightsOutdated] * 3


async def test_within_one_batch_a_dismissal_counts_at_once(db: Database, clock: FakeClock, enrol: Enrol) -> None:
    root, mallory = await enrol(), await enrol()
    changes = [change(root, mallory, {"USER"}), change(mallory, root, {"USER"})]
    assert await apply(db, clock, *changes) == [User, RightsOutdated]


@pytest.mark.parametrize("leaving", [{"roles": {"USER"}}, {"status": Status.INACTIVE}])
async def test_the_last_active_administrator_stays(
    db: Database, clock: FakeClock, enrol: Enrol, leaving: dict[str, object]
) -> None:
    root = await enrol()
    await enrol({"USER", "ADMIN"}, Status.INACTIVE)  # one who cannot act does not count
    assert await apply(db, clock, change(root, root, **leaving)) == [AdministratorIsLast]  # type: ignore[arg-type]
    assert await apply(db, clock, change(root, root, {"USER", "ADMIN", "FINANCE"})) == [User]


async def test_administrators_who_leave_or_dismiss_one_another_at_once_leave_one(
    db: Database, clock: FakeClock, enrol: Enrol
) -> None:
    root = await enrol()
    for _ in range(5):
        others = [await enrol() for _ in range(3)]
        everybody = [root, *others]
        leave = [change(each, each, {"USER"}) for each in everybody]
        dismiss = [change(each, everybody[number - 1], {"USER"}) for number, each in enumerate(everybody)]
        results = await asyncio.gather(*(change_access(db, clock, [each]) for each in (*leave, *dismiss)))
        refused = Counter(type(result) for [result] in results if isinstance(result, DomainError))
        assert refused.keys() <= {AdministratorIsLast, RightsOutdated}
        left = [each for each in everybody if "ADMIN" in (await roles_of(db, each))[1]]
        assert len(left) == 1
        [root] = left


async def test_other_refusals_are_as_before(db: Database, clock: FakeClock, enrol: Enrol, user: BuildUser) -> None:
    root, member = await enrol(), await enrol({"USER"})
    attempts = [change(root, member, {"KING"}), change(root, member, set()), change(root, user(user_id=ids.new()))]
    assert await apply(db, clock, *attempts) == [RoleUnknown, RoleUnknown, UserNotFound]
