"""`notifier` or `python -m notifier`: mails, and digests of alerts."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from functools import partial

from common import runtime
from common.runtime import Job, Resources, Service
from notifier import consumers
from notifier.gateways.smtp import Smtp
from notifier.rendering import Renderer
from notifier.settings import Settings
from notifier.store.personal_data import personal_data
from notifier.use_cases import mail_history
from notifier.use_cases.alert_digests import AlertDigests
from notifier.use_cases.mail_queue import MailQueue

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
    async with aclosing(smtp):
        queue = MailQueue(resources.db, smtp, renderer, resources.clock, settings.account_page_url)
        window = timedelta(seconds=settings.alert_digest_seconds)
        digests = AlertDigests(queue, resources.clock, settings.admin_email, window)
        yield Service(
            subscriptions=consumers.subscriptions(queue, digests, resources.sealer),
            workers=[queue.workers],
            jobs=[Job("close_windows", CLOSE_WINDOWS_SECONDS, partial(digests.close_windows, resources.db))],
            timeline=mail_history.timeline,
            totals=mail_history.totals,
            personal_data=personal_data(timedelta(days=settings.mail_recipients_keep_days)),
        )


def main() -> None:
    runtime.main("notifier", Settings, service)


if __name__ == "__main__":
    main()
