"""The whole service as a process of its own: broker, Postgres and SMTP are real."""

from collections.abc import Callable

import grpc
import pytest

from commdesk.common.v1 import delivery_pb2
from commdesk.common.v1.delivery_pb2_grpc import DeliveryServiceStub
from commdesk.common.v1.events_pb2 import AdminAlertRaised
from commdesk.identity.v1.events_pb2 import AccountMailRequested
from commdesk.payment.v1.events_pb2 import EmailPaymentFailed, EmailPaymentSucceeded
from common import grpc_client, ids
from common.database import Database
from common.testing import Announce, public_key, until
from common.tokens import ServiceTokens
from notifier.use_cases import mail_history
from services.notifier.tests.conftest import Inbox

pytestmark = pytest.mark.usefixtures("running_service")


@pytest.fixture
def own_settings(smtp_port: int) -> dict[str, str]:
    return {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(smtp_port), "ADMIN_EMAIL": "ops@example.com"}


async def test_from_the_broker_to_the_inbox(
    announce: Announce,
    db: Database,
    inbox: Inbox,
    succeeded: Callable[..., EmailPaymentSucceeded],
    failed: Callable[..., EmailPaymentFailed],
    settings_env: dict[str, str],
    service_keys: dict[str, str],
) -> None:
    paid = succeeded()
    await announce([paid, succeeded(email="second@example.com")], times=2)
    await announce([failed()], times=2)
    verify = AccountMailRequested(event_id=ids.encode("evt", ids.new()), merchant_id="mer_commdesk", kind="verify")
    verify.email, verify.token = "asha@example.com", "t0ken"
    await announce([verify], times=2)
    # The queue is worked off in order: once this one's mail has arrived, all copies before it have been handled.
    await announce([AdminAlertRaised(cause="last", service="wallet", summary="after all others")])

    async def last_mail_arrived() -> bool:
        return any("[CommDesk Pay] last" in mail["subject"] for mail in inbox.mails)

    async def all_sent() -> bool:
        async with db.begin() as tx:
            return (await mail_history.totals(tx))["mails.pending"] == 0

    await until(last_mail_arrived)
    await until(all_sent)
    assert len(inbox.mails) == 5
    assert [mail["subject"] for mail in inbox.mails].count("Verify your e-mail address") == 1
    public = {name: public_key(key) for name, key in service_keys.items()}
    tokens = ServiceTokens("operator", service_keys["operator"], public)
    channel: grpc.aio.Channel = grpc_client.channel(f"127.0.0.1:{settings_env['GRPC_PORT']}", tokens, "notifier")
    stub = DeliveryServiceStub(channel)  # type: ignore[no-untyped-call]
    timeline = await stub.Story(delivery_pb2.StoryRequest(reference=paid.payment_id), timeout=5)
    assert [entry.summary for entry in timeline.entries] == ["payment_success queued", "payment_success sent"]
    totals = await stub.Totals(delivery_pb2.TotalsRequest(), timeout=5)
    assert (totals.totals["mails.sent"], totals.totals["mails.pending"]) == (5, 0)
    await channel.close(None)


async def test_an_unreadable_event_is_put_in_the_dead_letters(
    announce: Announce, db: Database, failed: Callable[..., EmailPaymentFailed]
) -> None:
    broken = failed()
    broken.payment_id = "pay_nonsense"
    await announce([broken], times=2)

    async def dead_lettered() -> bool:
        async with db.begin() as tx:
            return bool((await tx.execute("select count(*) from dead_letters")).scalar_one())

    await until(dead_lettered)
