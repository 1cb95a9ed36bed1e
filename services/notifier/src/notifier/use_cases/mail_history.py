"""What became of mails: those of one payment for its timeline, all of them as totals."""

from collections.abc import Iterator

from common import ids
from common.database import Tx
from common.delivery import Timeline, TimelineEntry
from notifier.domain.mails import MailHistory, Status
from notifier.store import queries


async def timeline(tx: Tx, reference: str) -> Timeline:
    """When which mail about a payment was queued and how it ended; no address, timelines are pasted into tickets."""
    try:
        payment_id = ids.decode("pay", reference)
    except ids.IdInvalid:
        return Timeline()
    mails = await queries.mails_of_payment(tx, payment_id)
    entries = [entry for mail in mails for entry in _entries(mail)]
    return Timeline(sorted(entries, key=lambda entry: entry.time), sorted({mail.order_id for mail in mails} - {""}))


def _entries(mail: MailHistory) -> Iterator[TimelineEntry]:
    yield TimelineEntry(mail.queued_at, "mail", f"{mail.template} queued", {})
    if mail.status is not Status.QUEUED and mail.finished_at is not None:
        fields = {
            "reason": mail.reason,
            "attempts": str(mail.attempts),
            "smtpCode": str(mail.smtp_code) if mail.smtp_code else "",
        }
        shown = {name: value for name, value in fields.items() if value}
        yield TimelineEntry(mail.finished_at, "mail", f"{mail.template} {mail.status.lower()}", shown)


async def totals(tx: Tx) -> dict[str, int]:
    """How many mails were sent, and what became of the others."""
    counts = await queries.counts_by_status(tx)
    return {
        "mails.sent": counts.get(Status.SENT, 0),
        "mails.failed": counts.get(Status.FAILED, 0),
        "mails.suppressed": counts.get(Status.SUPPRESSED, 0),
        "mails.pending": counts.get(Status.QUEUED, 0),
    }
