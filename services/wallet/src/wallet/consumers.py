"""Queue consumers: grants for payments, and consumption that others ask for without waiting."""

from collections.abc import Sequence
from functools import partial

from commdesk.payment.v1.events_pb2 import PaymentSucceeded
from commdesk.wallet.v1.events_pb2 import WalletConsumeRequested
from common import telemetry
from common.clock import Clock
from common.database import Tx
from common.errors import DomainError
from common.events import micros
from common.guards import Guards
from common.subscriptions import Subscription
from wallet import use_cases
from wallet.domain.batch import Result
from wallet.domain.operations import Consumption, Grant
from wallet.domain.wallets import Transaction
from wallet.wire import events

# A batch that is tried again, and an event that comes again, count again: the commit is not seen here.
_grant_seconds = telemetry.histogram(
    "wallet_grant_seconds",
    "From a payment's announced success to its credits",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30, 60, 300, 1800),
).of()


async def on_payments_succeeded(
    tx: Tx, grants: Sequence[Grant], clock: Clock, guards: Guards
) -> list[DomainError | None]:
    """Grant what each payment bought; a payment that was granted before is no error."""
    results = await use_cases.grant_credits(tx, clock, grants, guards)
    for grant, result in zip(grants, results, strict=True):
        if isinstance(result, Transaction):
            _grant_seconds.observe(max(0, micros(result.created_at) - grant.paid_micros) / 1_000_000)
    return _refusals(results)


async def on_consumptions_requested(
    tx: Tx, consumptions: Sequence[Consumption], clock: Clock, guards: Guards
) -> list[DomainError | None]:
    """Check and debit each. One without its credits is retried: events come in no order, they may be on their way."""
    return _refusals(await use_cases.move_credits(tx, clock, consumptions, guards))


def subscriptions(clock: Clock, guards: Guards) -> list[Subscription]:
    return [
        Subscription(
            "wallet.credit",
            PaymentSucceeded,
            events.payment_succeeded,
            partial(on_payments_succeeded, clock=clock, guards=guards),
            events_max=use_cases.OPERATIONS_MAX,
        ),
        Subscription(
            "wallet.debit",
            WalletConsumeRequested,
            events.consume_requested,
            partial(on_consumptions_requested, clock=clock, guards=guards),
            events_max=use_cases.OPERATIONS_MAX,
        ),
    ]


def _refusals(results: Sequence[Result | None]) -> list[DomainError | None]:
    return [result if isinstance(result, DomainError) else None for result in results]
