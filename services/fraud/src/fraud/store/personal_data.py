"""What fraud holds of persons: decisions about their payments, which name a user id and no address, and list entries.

The blind indexes of a decision's address and device are cleared by `clear_origins` (fraud.store.commands), because the
table is append-only.
"""

from common.personal_data import PersonalData, PersonalTable
from fraud.store.subject_lists import LISTED

FRAUD_EVENTS = PersonalTable(
    name="fraud_events",
    key="id",
    of_person="user_id = :user",
    shown=("payment_id", "score", "decision", "reasons", "created_at"),
)

# An erased person cannot sign in, so an entry about their user id applies to nobody. Entries about an address
# or a device name no person and stay.
SUBJECT_LISTS = PersonalTable(
    name="subject_lists",
    key="id",
    sealed={"value": LISTED},
    of_person="user_id = :user",
    shown=("verdict", "dimension", "reason", "created_at", "expires_at"),
    deleted=True,
)

PERSONAL_DATA = PersonalData(tables=(FRAUD_EVENTS, SUBJECT_LISTS))
