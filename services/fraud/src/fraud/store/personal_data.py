"""What fraud holds of persons: decisions about their payments, which name a user id and no address."""

from common.personal_data import PersonalData, PersonalTable

FRAUD_EVENTS = PersonalTable(
    name="fraud_events",
    key="id",
    of_person="user_id = :user",
    shown=("payment_id", "score", "decision", "reasons", "created_at"),
)

PERSONAL_DATA = PersonalData(tables=(FRAUD_EVENTS,))
