"""Queue consumers: grants for payments, and consumption that others ask for without waiting."""

from collections.abc import Sequence
from functools import partial

from commdesk.payment.v1.events_pb2 import PaymentSucceeded
from commdesk.wallet.v1.events_pb2 import WalletConsumeRequested
from common.clock import Clock
from common.database import Tx
from common.errors import DomainError
from common.guards import Guards
from common.subscriptions import Subscription
from wallet import use_cases
from wallet.domain.batch import Result
from wallet.domain.operations import Consumption, Grant
from wallet.wire import events


async def on_payments_succeeded(
    tx: Tx, grants: Sequence[Grant], clock: Clock, guards: Guards
) -> list[DomainError | None]:
    """Grant what each payment bought; a payment that was granted before is no error."""
    return _refusals(await use_cases.grant_credits(tx, clock, grants, guards))


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
