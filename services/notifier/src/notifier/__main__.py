"""notifier: wire the service together and run it until told to stop."""

from contextlib import aclosing
from datetime import timedelta
from functools import partial

from common import runtime
from common.database import Tx
from common.delivery import Story
from common.intents import Intents
from notifier import consumers, store, wire
from notifier.gateways.smtp import Smtp
from notifier.rendering import Renderer
from notifier.settings import Settings
from notifier.use_cases import Desk, Result, Sender

WINDOWS_CLOSED_SECONDS = 5
# Mails in hand; they wait for a connection, and their outcomes are recorded together.
MAILS_AT_ONCE = 128


async def service(settings: Settings) -> None:
    async with aclosing(smtp(settings)) as gateway, runtime.start(settings, "notifier") as rt:
        renderer = Renderer(
            sender_email=settings.sender_email,
            sender_name=settings.sender_name,
            support_email=settings.support_email,
        )
        sender = Sender(gateway, renderer, rt.clock)
        mails: Intents[Result] = Intents(
            rt.db, "mail", sender.perform, sender.settle, concurrency=MAILS_AT_ONCE, lease_seconds=120
        )
        window = timedelta(seconds=settings.alert_digest_seconds)
        desk = Desk(mails, renderer, rt.clock, settings.admin_email, window)
        rt.consume(consumers.subscriptions(desk))
        rt.work(mails)
        rt.every(WINDOWS_CLOSED_SECONDS, "close_windows", partial(desk.close_windows, rt.db))
        rt.story(story)
        rt.totals(store.totals)
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


async def story(tx: Tx, reference: str) -> Story:
    payment_id = wire.payment_id(reference)
    return wire.story(await store.lines(tx, payment_id)) if payment_id is not None else Story()


def main() -> None:
    runtime.main("notifier", Settings, service)


if __name__ == "__main__":
    main()
