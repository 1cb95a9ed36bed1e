"""What webhook-ingest holds of persons: what gateways write into their webhooks."""

from datetime import timedelta

from common.personal_data import PersonalData, PersonalTable, Retention
from common.seals import WEBHOOK_BODY

_CLEARED = {"payload": "''", "headers": "'{}'"}


def personal_data(bodies_keep: timedelta) -> PersonalData:
    """*bodies_keep*: how long raw bodies are of use; what was read from them stays."""
    webhook_logs = PersonalTable(
        name="webhook_logs",
        key="id",
        sealed_bytes={"payload": WEBHOOK_BODY},
        of_person="order_id = any(:orders)",
        shown=("gateway", "event_type", "order_id", "gateway_status", "received_at"),
        erased=_CLEARED,
        retention=Retention(bodies_keep, _CLEARED),
    )
    return PersonalData(tables=(webhook_logs,))
