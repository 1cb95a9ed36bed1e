"""Queue mails, send them, and digest alerts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from common import telemetry
from common.clock import Clock
from common.database import Database, Tx, retried
from common.intents import Intent, Intents
from notifier import store, wire
from notifier.domain import Mail, Refused, Sent, Status, digest, folded, is_address
from notifier.domain.digest import Alert, Notice
from notifier.gateways import MailGateway
from notifier.rendering import Renderer
from notifier.store import Entry, Outcome

RECIPIENT_INVALID = "recipient_invalid"
RECIPIENT_SUPPRESSED = "recipient_suppressed"
# Causes that one run of the digest's schedule closes.
CAUSES_MAX = 200

_mails = telemetry.counter("notifier_mails_total", "Mails by what became of them", ["template", "outcome"])
Result = Sent | Refused


@dataclass(frozen=True, slots=True)
class Sender:
    """Carries out what an intent says: render the mail, hand it over."""

    gateway: MailGateway
    renderer: Renderer
    clock: Clock

    async def perform(self, intent: Intent) -> Result:
        """Raises Later, or what the gateway raises when the outcome is not known."""
        mail = wire.unpacked(intent.payload)
        message = self.renderer.render(mail, self.clock.now())
        result = await self.gateway.send(mail.recipient, message, intent.attempt)
        _mails.of(mail.template, "sent" if isinstance(result, Sent) else "failed").inc()
        return result

    async def settle(self, tx: Tx, outcomes: Sequence[tuple[Intent, Result]]) -> None:
        """Record how each mail ended."""
        await store.finish(tx, [_outcome(intent, result) for intent, result in outcomes], self.clock.now())


def _outcome(intent: Intent, result: Result) -> Outcome:
    if isinstance(result, Sent):
        return Outcome(intent.id, Status.SENT, None, intent.attempt, result.code)
    return Outcome(intent.id, Status.FAILED, result.reason, intent.attempt, result.code)


@dataclass(frozen=True, slots=True)
class Desk:
    """Where mails are queued and alerts digested, each within the transaction that it is given."""

    intents: Intents[Any]
    renderer: Renderer
    clock: Clock
    operators: Sequence[str]
    window: timedelta

    async def queue(self, tx: Tx, mails: Sequence[Mail]) -> None:
        """Queue each mail whose key is new; one that may not be sent is kept with the reason."""
        unique = list({mail.key: mail for mail in reversed(mails)}.values())
        if not unique:
            return
        stopped = await store.suppressed(tx, {mail.recipient for mail in unique if is_address(mail.recipient)})
        entries = [self._entry(mail, stopped) for mail in unique]
        fresh = await store.insert(tx, entries, self.clock.now())
        queued = [entry.mail for entry in entries if entry.status is Status.QUEUED and entry.mail.email_id in fresh]
        await self.intents.record(tx, {mail.email_id: wire.packed(mail) for mail in queued})

    def _entry(self, mail: Mail, stopped: set[str]) -> Entry:
        message_id = self.renderer.message_id(mail)
        if not is_address(mail.recipient):
            return Entry(mail, message_id, Status.FAILED, RECIPIENT_INVALID)
        if folded(mail.recipient) in stopped:
            return Entry(mail, message_id, Status.SUPPRESSED, RECIPIENT_SUPPRESSED)
        return Entry(mail, message_id)

    async def take_alerts(self, tx: Tx, alerts: Sequence[Alert]) -> None:
        """Mail the first alert of each cause at once, count the others for the summary."""
        by_cause: dict[str, list[Alert]] = {}
        for alert in alerts:
            by_cause.setdefault(alert.cause, []).append(alert)
        known = await store.lock_digests(tx, by_cause)
        moved = {
            cause: digest.absorb(known[cause], group, self.clock.now(), self.window)
            for cause, group in by_cause.items()
        }
        await self._save(tx, moved)

    async def close_windows(self, db: Database) -> None:
        """Mail the summaries of the windows that are over."""
        await _in_transaction(db, self._close)

    async def _close(self, tx: Tx) -> None:
        now = self.clock.now()
        closing = await store.lock_closing(tx, now, CAUSES_MAX)
        await self._save(tx, {each.cause: digest.close(each, now, self.window) for each in closing})

    async def _save(self, tx: Tx, moved: dict[str, tuple[digest.Digest, Notice | None]]) -> None:
        if not moved:
            return
        await store.save_digests(tx, {cause: after for cause, (after, _) in moved.items()})
        notices = [notice for _, notice in moved.values() if notice is not None]
        mails = [wire.alert_mail(notice, each, self.window) for notice in notices for each in self.operators]
        await self.queue(tx, mails)


@retried
async def _in_transaction(db: Database, work: Callable[[Tx], Any]) -> None:
    async with db.begin() as tx:
        await work(tx)
