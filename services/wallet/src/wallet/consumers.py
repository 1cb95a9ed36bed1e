"""Queue consumers: grants for payments, consumption that others ask for without waiting, and what ends holds."""

from collections.abc import Sequence
from functools import partial

from commdesk.payment.v1.disputes_pb2 import PaymentDisputeLost, PaymentDisputeWon
from commdesk.payment.v1.events_pb2 import PaymentSucceeded
from commdesk.payment.v1.refunds_pb2 import PaymentRefunded, RefundFailed, RefundReversed
from commdesk.wallet.v1.events_pb2 import WalletConsumeRequested
from common import telemetry
from common.clock import Clock
from common.database import Tx
from common.errors import DomainError
from common.events import micros
from common.guards import Guards
from common.subscriptions import Subscription
from wallet.domain.batch import Result
from wallet.domain.holds import HoldOutcome
from wallet.domain.operations import Consumption, Grant
from wallet.domain.wallets import Transaction
from wallet.use_cases import credits, holds
from wallet.wire import events

# A batch that is tried again, and an event that comes again, count again: the commit is not seen here.
_grant_seconds = telemetry.histogram(
    "wallet_grant_seconds",
    "From a payment's announced success to its credits",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30, 60, 300, 1800),
).of()


_holds_ended = telemetry.counter(
    "wallet_holds_ended_total",
    "Events that said what became of a hold (consumed, released, regranted), repeated ones included",
    ["outcome"],
)
# Each brings its hold, lots and debt along; a batch of refunds is rare.
OUTCOMES_MAX = 256


async def on_payments_succeeded(
    tx: Tx, grants: Sequence[Grant], clock: Clock, guards: Guards
) -> list[DomainError | None]:
    """Grant what each payment bought; a payment that was granted before is no error."""
    results = await credits.grant_credits(tx, clock, grants, guards)
    for grant, result in zip(grants, results, strict=True):
        if isinstance(result, Transaction):
            _grant_seconds.observe(max(0, micros(result.created_at) - grant.paid_micros) / 1_000_000)
    return _refusals(results)


async def on_consumptions_requested(
    tx: Tx, consumptions: Sequence[Consumption], clock: Clock, guards: Guards
) -> list[DomainError | None]:
    """Check and debit each. One without its credits is retried: events come in no order, they may be on their way."""
    return _refusals(await credits.move_credits(tx, clock, consumptions, guards))


async def on_holds_ended(
    tx: Tx, outcomes: Sequence[HoldOutcome | None], clock: Clock, guards: Guards
) -> list[DomainError | None]:
    """Take, release or grant again what each refund or dispute held; one that held nothing has no effect here."""
    held = {index: outcome for index, outcome in enumerate(outcomes) if outcome}
    if not held:
        return [None] * len(outcomes)
    refusals = dict(zip(held, await holds.end_holds(tx, clock, list(held.values()), guards), strict=True))
    for index, outcome in held.items():
        if refusals[index] is None:
            _holds_ended.of(outcome.outcome.lower()).inc()
    return [refusals.get(index) for index in range(len(outcomes))]


def subscriptions(clock: Clock, guards: Guards) -> list[Subscription]:
    ending = partial(
        Subscription,
        handle=partial(on_holds_ended, clock=clock, guards=guards),
        events_max=OUTCOMES_MAX,
    )
    return [
        Subscription(
            "wallet.credit",
            PaymentSucceeded,
            events.payment_succeeded,
            partial(on_payments_succeeded, clock=clock, guards=guards),
            events_max=credits.OPERATIONS_MAX,
        ),
        Subscription(
            "wallet.debit",
            WalletConsumeRequested,
            events.consume_requested,
            partial(on_consumptions_requested, clock=clock, guards=guards),
            events_max=credits.OPERATIONS_MAX,
        ),
        ending(queue="wallet.debit", message=PaymentRefunded, decode=events.payment_refunded),
        ending(queue="wallet.debit", message=PaymentDisputeLost, decode=events.dispute_lost),
        ending(queue="wallet.debit", message=PaymentDisputeWon, decode=events.dispute_won),
        ending(queue="wallet.credit", message=RefundFailed, decode=events.refund_failed),
        ending(queue="wallet.credit", message=RefundReversed, decode=events.refund_reversed),
    ]


def _refusals(results: Sequence[Result | None]) -> list[DomainError | None]:
    return [result if isinstance(result, DomainError) else None for result in results]
