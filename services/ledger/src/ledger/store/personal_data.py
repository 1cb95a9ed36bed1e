"""What ledger holds of persons: where audited actions came from. The books name them by id alone."""

from collections.abc import Mapping, Sequence

from msgspec.structs import asdict

from common.database import Tx
from common.personal_data import Person, PersonalData, PersonalTable
from ledger.domain.audit import AuditFilter
from ledger.store import queries
from ledger.store.audit_origins import SUBJECT_KEY

AUDIT_MAX = 10_000


async def records(tx: Tx, person: Person) -> Mapping[str, Sequence[Mapping[str, object]]]:
    """What a person did, with their addresses and agents."""
    if not person.user_id:
        return {}
    audited = await queries.audit_records(tx, AuditFilter(AUDIT_MAX, actor_id=person.user_id))
    return {"audit_logs": [asdict(record) for record in audited]}


SUBJECT_KEYS = PersonalTable(
    name="subject_keys",
    key="subject",
    key_type="text",
    sealed_bytes={"key": SUBJECT_KEY},
    of_person="subject = :user",
    # The log is append-only: without the key the addresses and agents in it cannot be opened.
    erased={"key": "''", "destroyed_at": "coalesce(destroyed_at, now())"},
    is_exported=False,
)

PERSONAL_DATA = PersonalData(tables=(SUBJECT_KEYS,), records=records)
