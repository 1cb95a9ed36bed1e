"""What notifier holds of persons: to whom it wrote, and to whom it must not write."""

from datetime import timedelta

from common.personal_data import BlindIndex, PersonalData, PersonalTable, Retention
from common.seals import EMAIL


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
    return PersonalData(tables=(emails, suppressions))
