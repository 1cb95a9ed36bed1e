"""`notifier` or `python -m notifier`: mails, digests of alerts, and webhooks to merchants."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from functools import partial

from common import runtime
from common.destinations import public_session
from common.runtime import Job, Resources, Service
from notifier import consumers, routes
from notifier.gateways.smtp import Smtp
from notifier.gateways.webhooks import WebhookSender
from notifier.rendering import Renderer
from notifier.settings import Settings
from notifier.store.personal_data import personal_data
from notifier.use_cases import mail_history
from notifier.use_cases.alert_digests import AlertDigests
from notifier.use_cases.mail_queue import MailQueue
from notifier.use_cases.webhook_deliveries import FAILING_AT_ONCE, HEALTHY_AT_ONCE, WebhookDeliveries
from notifier.use_cases.webhook_endpoints import WebhookEndpoints

CLOSE_WINDOWS_SECONDS = 5


@asynccontextmanager
async def service(settings: Settings, resources: Resources) -> AsyncIterator[Service]:
    smtp = Smtp(
        host=settings.smtp_host,
        port=settings.smtp_port,
        username=settings.smtp_username,
        password=settings.smtp_password.get_secret_value(),
        tls=settings.smtp_tls,
        sender=settings.sender_email,
        connections=settings.smtp_connections,
        ca_file=settings.smtp_ca_file,
    )
    renderer = Renderer(
        sender_email=settings.sender_email, sender_name=settings.sender_name, support_email=settings.support_email
    )
    async with (
        aclosing(smtp),
        public_session(
            settings.webhook_private_networks,
            timeout_seconds=settings.webhook_timeout_seconds,
            connections=HEALTHY_AT_ONCE + FAILING_AT_ONCE,
        ) as session,
    ):
        queue = MailQueue(resources.db, smtp, renderer, resources.clock, settings.account_page_url)
        window = timedelta(seconds=settings.alert_digest_seconds)
        digests = AlertDigests(queue, resources.clock, settings.admin_email, window)
        deliveries = WebhookDeliveries(resources.db, resources.clock, WebhookSender(session), settings.webhook_schedule)
        authorizer = resources.authorizer(settings.identity_address)
        endpoints = WebhookEndpoints(
            resources.db, resources.clock, authorizer, settings.webhook_url_rules, deliveries.wake
        )
        yield Service(
            http=routes.routes(endpoints),
            subscriptions=consumers.subscriptions(queue, digests, resources.clock, resources.sealer),
            workers=[queue.workers, deliveries.workers],
            jobs=[Job("close_windows", CLOSE_WINDOWS_SECONDS, partial(digests.close_windows, resources.db))],
            timeline=mail_history.timeline,
            totals=mail_history.totals,
            personal_data=personal_data(timedelta(days=settings.mail_recipients_keep_days)),
        )


def main() -> None:
    runtime.main("notifier", Settings, service)


if __name__ == "__main__":
    main()
