"""Queue consumers: grants for payments, and consumption that others ask for without waiting."""

from collections.abc import Sequence
from functools import partial

from commdesk.payment.v1.events_pb2 import PaymentSucceeded
from commdesk.wallet.v1.events_pb2 import WalletConsumeRequested
from common.clock import Clock
from common.consuming import Refused, Subscription
from common.database import Tx
from common.errors import DomainError
from wallet import use_cases
from wallet.domain.batch import Result
from wallet.domain.errors import WalletInsufficientCredits
from wallet.domain.operations import Consumption, Grant, Operation
from wallet.wire import events


async def on_payments_succeeded(clock: Clock, tx: Tx, grants: Sequence[Grant]) -> list[Refused]:
    """Grant what each payment bought; a payment that was granted before is no error."""
    return _refused(grants, await use_cases.grant_credits(tx, clock, grants))


async def on_consumptions_requested(clock: Clock, tx: Tx, consumptions: Sequence[Consumption]) -> list[Refused]:
    """Check and debit each."""
    return _refused(consumptions, await use_cases.move_credits(tx, clock, consumptions))


def subscriptions(clock: Clock) -> list[Subscription]:
    return [
        Subscription(
            "wallet.credit",
            PaymentSucceeded,
            events.payment_succeeded,
            partial(on_payments_succeeded, clock),
            events_max=use_cases.OPERATIONS_MAX,
        ),
        Subscription(
            "wallet.debit",
            WalletConsumeRequested,
            events.consume_requested,
            partial(on_consumptions_requested, clock),
            events_max=use_cases.OPERATIONS_MAX,
        ),
    ]


def _refused(operations: Sequence[Operation], results: Sequence[Result | None]) -> list[Refused]:
    """Credits may still arrive (events come in no order), so what lacks them is retried; no other refusal heals by
    waiting."""
    return [
        Refused(operation, result, for_good=not isinstance(result, WalletInsufficientCredits))
        for operation, result in zip(operations, results, strict=True)
        if isinstance(result, DomainError)
    ]
