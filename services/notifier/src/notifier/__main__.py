"""notifier: wire the service together and run it until told to stop."""

from contextlib import aclosing
from datetime import timedelta
from functools import partial

from common import runtime
from notifier import consumers
from notifier.gateways.smtp import Smtp
from notifier.rendering import Renderer
from notifier.settings import Settings
from notifier.use_cases import mail_history
from notifier.use_cases.alert_digests import AlertDigests
from notifier.use_cases.mail_queue import MailQueue

CLOSE_WINDOWS_SECONDS = 5


async def service(settings: Settings) -> None:
    async with aclosing(smtp(settings)) as gateway, runtime.start(settings, "notifier") as rt:
        renderer = Renderer(
            sender_email=settings.sender_email,
            sender_name=settings.sender_name,
            support_email=settings.support_email,
        )
        queue = MailQueue(rt.db, gateway, renderer, rt.clock)
        window = timedelta(seconds=settings.alert_digest_seconds)
        digests = AlertDigests(queue, rt.clock, settings.admin_email, window)
        rt.consume(consumers.subscriptions(queue, digests))
        rt.work(queue.intents)
        rt.every(CLOSE_WINDOWS_SECONDS, "close_windows", partial(digests.close_windows, rt.db))
        rt.story(mail_history.timeline)
        rt.totals(mail_history.totals)
        await rt.until_stopped()


def smtp(settings: Settings) -> Smtp:
    return Smtp(
        host=settings.smtp_host,
        port=settings.smtp_port,
        username=settings.smtp_username,
        password=settings.smtp_password.get_secret_value(),
        tls=settings.smtp_tls,
        sender=settings.sender_email,
        connections=settings.smtp_connections,
        ca_file=settings.smtp_ca_file,
    )


def main() -> None:
    runtime.main("notifier", Settings, service)


if __name__ == "__main__":
    main()
