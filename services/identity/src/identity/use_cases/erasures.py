"""End a person's access before they are erased."""

from common import context
from common.clock import Clock
from common.database import Tx
from common.personal_data import Person
from identity.domain.changes import AccessChange
from identity.domain.users import Status
from identity.store import queries
from identity.use_cases.access import change_access_in
from identity.use_cases.batches import only


async def end_access(clock: Clock, tx: Tx, person: Person, actor: str) -> None:
    """Switch the account off: sessions end, and every service refuses their tokens. Raises AdministratorIsLast."""
    user_id = person.user_uuid
    user = (await queries.users_by_id(tx, {user_id})).get(user_id) if user_id is not None else None
    if user is None:
        return
    change = AccessChange(
        user_id=user.user_id,
        merchant_id=user.merchant_id,
        roles=None,
        status=Status.INACTIVE,
        actor_id=None,
        actor=actor,
        origin=context.current(),
    )
    only(await change_access_in(tx, clock, [change]))
