"""Mails are queued within the transaction that asks for them, and sent by a leased worker after its commit."""

from collections.abc import Sequence

import msgspec
from loguru import logger

from common import ids, outbox, telemetry
from common.clock import Clock
from common.database import Database, Tx
from common.events import alert
from common.intents import Intent, Intents
from common.runtime import Workers
from notifier.domain import mails, recipients
from notifier.domain.account_mails import AccountMailRequest, account_mail
from notifier.domain.mails import FailedPayment, Mail, MailRecord, RefundedPayment, Status, SucceededPayment, Template
from notifier.domain.smtp_replies import MailRejected, MailSent
from notifier.gateways import MailGateway
from notifier.rendering import Renderer
from notifier.store import commands, queries

# They wait for a connection, and their outcomes are recorded together.
MAILS_AT_ONCE = 128
# Longer than the gateway's own limits for one mail, or a mail would go out twice.
LEASE_SECONDS = 120

# A mail is sealed whole: every value in it may name a person.
_MAIL = "mail"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Mail).decode
_mails = telemetry.counter(
    "notifier_mails_total", "Mails by what became of them: sent, failed", ["template", "outcome"]
)


class MailQueue:
    """Mails to be sent: one intent for each."""

    def __init__(
        self, db: Database, gateway: MailGateway, renderer: Renderer, clock: Clock, account_page_url: str
    ) -> None:
        self._account_page_url = account_page_url
        self._sealer = db.sealer
        self._gateway = gateway
        self._renderer = renderer
        self._clock = clock
        self._intents: Intents[MailSent | MailRejected] = Intents(
            db, "mail", self.send_mail, self.record_outcomes, concurrency=MAILS_AT_ONCE, lease_seconds=LEASE_SECONDS
        )
        self.workers = Workers(intents=(self._intents,))

    async def queue_successes(self, tx: Tx, payments: Sequence[SucceededPayment]) -> None:
        """Queue the mail about each payment that succeeded."""
        await self.queue_mails(tx, [mails.success_mail(payment, ids.new()) for payment in payments])

    async def queue_failures(self, tx: Tx, payments: Sequence[FailedPayment]) -> None:
        """Queue the mail about each payment that failed."""
        await self.queue_mails(tx, [mails.failure_mail(payment, ids.new()) for payment in payments])

    async def queue_refunds(self, tx: Tx, payments: Sequence[RefundedPayment]) -> None:
        """Queue the mail about how far each refund is."""
        await self.queue_mails(tx, [mails.refund_mail(payment, ids.new()) for payment in payments])

    async def queue_account_mails(self, tx: Tx, requests: Sequence[AccountMailRequest]) -> None:
        """Queue each mail about an account; identity decides whose address gets one."""
        await self.queue_mails(tx, [account_mail(request, self._account_page_url, ids.new()) for request in requests])

    async def queue_mails(self, tx: Tx, batch: Sequence[Mail]) -> None:
        """Queue each mail whose key is new; one that may not be sent is stored with the reason."""
        unique = mails.first_of_each_key(batch)
        if not unique:
            return
        addresses = [address for mail in unique if (address := recipients.parse_address(mail.recipient)) is not None]
        suppressed = await queries.suppressed(tx, addresses)
        records = [mails.admit(mail, self._renderer.sender_domain, suppressed) for mail in unique]
        inserted = await commands.insert_mails(tx, records, self._clock.now())
        sendable = [record.mail for record in records if _is_sendable(record) and record.mail.email_id in inserted]
        payloads = {mail.email_id: self._sealer.seal_bytes(_MAIL, _encode(mail)) for mail in sendable}
        await self._intents.record(tx, payloads)
        failed = [
            (record.mail, record.reason or "")
            for record in records
            if record.status is Status.FAILED and record.mail.email_id in inserted
        ]
        await self._tell_failures(tx, failed)

    async def send_mail(self, intent: Intent) -> MailSent | MailRejected:
        """Render the mail and hand it over. Raises what the gateway raises when it must be tried again."""
        mail = self._mail(intent)
        message = self._renderer.render(mail, self._clock.now())
        result = await self._gateway.send(mail.recipient, message, intent.attempt)
        _mails.of(mail.template, "sent" if isinstance(result, MailSent) else "failed").inc()
        return result

    def _mail(self, intent: Intent) -> Mail:
        return _decode(self._sealer.open_bytes(_MAIL, intent.payload))

    async def record_outcomes(self, tx: Tx, results: Sequence[tuple[Intent, MailSent | MailRejected]]) -> None:
        """Record how each mail ended."""
        outcomes = [mails.outcome(intent.id, intent.attempt, result) for intent, result in results]
        await commands.record_outcomes(tx, outcomes, self._clock.now())
        failed = [(self._mail(intent), result.reason) for intent, result in results if isinstance(result, MailRejected)]
        await self._tell_failures(tx, failed)

    async def _tell_failures(self, tx: Tx, failed: Sequence[tuple[Mail, str]]) -> None:
        """An alert for each mail that will never arrive; about one that was itself an alert, a log line alone."""
        now = self._clock.now()
        alerts = [
            alert(
                mails.MAIL_FAILED,
                f"the mail {mail.template} cannot be sent: {reason}",
                service="notifier",
                at=now,
                fields={"template": mail.template, "orderId": mail.order_id, "reason": reason},
            )
            for mail, reason in failed
            if mail.template is not Template.ADMIN_ALERT
        ]
        if len(alerts) < len(failed):
            logger.error("{} alert(s) cannot be mailed", len(failed) - len(alerts))
        await outbox.append(tx, alerts)


def _is_sendable(record: MailRecord) -> bool:
    return record.status is Status.QUEUED
