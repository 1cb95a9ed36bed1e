"""The queue door: grants for payments, and consumption that others ask for without waiting."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from commdesk.payment.v1.events_pb2 import PaymentSucceeded
from commdesk.wallet.v1.events_pb2 import WalletConsumeRequested
from common.clock import Clock
from common.consuming import Refused, Subscription
from common.database import Tx
from common.errors import DomainError
from wallet import use_cases, wire
from wallet.domain import Consumption, Grant, Operation, Result, WalletInsufficientCredits


async def on_payments_succeeded(clock: Clock, tx: Tx, grants: Sequence[Grant]) -> list[Refused]:
    return _refused(grants, await use_cases.grant_credits(tx, clock, grants))


async def on_consumption_requested(clock: Clock, tx: Tx, consumptions: Sequence[Consumption]) -> list[Refused]:
    return _refused(consumptions, await use_cases.move_credits(tx, clock, consumptions))


def subscriptions(clock: Clock) -> tuple[Subscription, ...]:
    return (
        Subscription(
            "wallet.credit",
            PaymentSucceeded,
            wire.payment_succeeded,
            partial(on_payments_succeeded, clock),
            events_max=use_cases.OPERATIONS_MAX,
        ),
        Subscription(
            "wallet.debit",
            WalletConsumeRequested,
            wire.consume_requested,
            partial(on_consumption_requested, clock),
            events_max=use_cases.OPERATIONS_MAX,
        ),
    )


def _refused(operations: Sequence[Operation], results: Sequence[Result | None]) -> list[Refused]:
    """Credits may still arrive (events come in no order), so what lacks them climbs the ladder; no other refusal heals
    by waiting."""
    return [
        Refused(operation, result, for_good=not isinstance(result, WalletInsufficientCredits))
        for operation, result in zip(operations, results, strict=True)
        if isinstance(result, DomainError)
    ]
