"""What notifier holds of persons: to whom it wrote, and to whom it must not write."""

from datetime import timedelta

from common.personal_data import BlindIndex, PersonalData, PersonalTable, Retention
from common.seals import EMAIL
from notifier.store.webhook_kinds import ANSWER, HEADERS, SECRETS


def personal_data(mails_keep: timedelta) -> PersonalData:
    """*mails_keep*: how long it is of use to whom a mail went. That one was sent, and about what, stays."""
    emails = PersonalTable(
        name="emails",
        key="id",
        sealed={"recipient": EMAIL},
        indexes={"recipient_index": BlindIndex("recipient", normalise=str.lower)},
        of_person="recipient_index = :email_index or order_id = any(:orders)",
        shown=("template", "order_id", "status", "queued_at", "finished_at"),
        erased={"recipient": "''", "recipient_index": "null"},
        retention=Retention(mails_keep, {"recipient": "''", "recipient_index": "null"}),
    )
    # Stays: without the row an address that refused mail would be mailed again.
    suppressions = PersonalTable(
        name="suppressions",
        key="id",
        sealed={"address": EMAIL},
        indexes={"address_index": BlindIndex("address", normalise=str.lower)},
        of_person="address_index = :email_index",
        shown=("reason", "created_at"),
    )
    # A merchant's, not a person's: sealed, because the secrets sign and the headers may open the merchant's server.
    endpoints = PersonalTable(
        name="webhook_endpoints",
        key="id",
        sealed={"headers": HEADERS, "secrets": SECRETS},
        is_exported=False,
    )
    # What a merchant's server answered may name whom the event was about; it goes with the attempt after a month.
    attempts = PersonalTable(name="webhook_attempts", key="id", sealed={"answer": ANSWER}, is_exported=False)
    return PersonalData(tables=(emails, suppressions, endpoints, attempts))
