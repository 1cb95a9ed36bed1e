"""Ask the gateway, then lock, decide, save, announce. Webhook, verify, sweep and cancel all come through here."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import msgspec
from google.protobuf.message import Message

from common import ids
from common.clock import Clock
from common.database import Tx
from gateways import Gateway, OrderReference
from payment import domain, store
from payment.domain import (
    AttemptStatus,
    Decision,
    Facts,
    FactsUnknown,
    OrderMissing,
    OrderSnapshot,
    OrderStatus,
    Payment,
    PaymentAttempt,
    Unknown,
)
from payment.use_cases import measures
from payment.wire import events

Found: TypeAlias = Facts | OrderMissing | Unknown


class Question(msgspec.Struct, frozen=True):
    """One order to ask about, with what a webhook claims of it already."""

    order_id: str
    claims: tuple[PaymentAttempt, ...] = ()
    # Read the attempts of an open order too: somebody waits, and wants to see it move.
    attempts: bool = False
    from_webhook: bool = False


class Applied(msgspec.Struct):
    """What came of the facts, by payment; `messages` are for the caller's one outbox.append."""

    decisions: dict[UUID, Decision] = {}
    unknown: dict[UUID, FactsUnknown] = {}
    # Attempts that are new or went up.
    climbed: set[str] = set()
    messages: list[Message] = []


class Inquiry:
    """The gateway's own view of orders: idempotent reads, bounded in number, each with a deadline."""

    def __init__(self, gateway: Gateway, *, timeout_seconds: float, concurrency: int = 32) -> None:
        self._gateway = gateway
        self._timeout_seconds = timeout_seconds
        self._turns = asyncio.Semaphore(concurrency)

    async def ask(self, questions: Collection[Question]) -> dict[str, Found]:
        """The facts of each order; what cannot be known is Unknown, never an exception."""
        found = await asyncio.gather(*(self._ask(question) for question in questions))
        return {question.order_id: facts for question, facts in zip(questions, found, strict=True)}

    async def _ask(self, question: Question) -> Found:
        async with self._turns:
            view = await self._gateway.read_order(OrderReference(question.order_id), self._timeout_seconds)
            return view if not isinstance(view, OrderSnapshot) else await self.complete(view, question)

    async def complete(self, view: OrderSnapshot, question: Question) -> Facts | Unknown:
        """The facts around *view*: attempts are read only when the question's own claims do not say who paid."""
        told = question.claims
        paid_by_nobody = view.status is OrderStatus.PAID and not any(
            claim.status is AttemptStatus.SUCCESS for claim in told
        )
        if paid_by_nobody or question.attempts:
            attempts = await self._gateway.read_attempts(OrderReference(question.order_id), self._timeout_seconds)
            if isinstance(attempts, Unknown):
                return attempts
            told = (*told, *attempts)
        return Facts(view, told, question.from_webhook)


class Policy(msgspec.Struct, frozen=True):
    """How decisions are taken that are not the gateway's to take."""

    late_success: str
    public_url: str


async def apply_facts(
    tx: Tx, payments: Iterable[Payment], facts: Mapping[str, Facts], clock: Clock, policy: Policy
) -> Applied:
    """Decide about locked *payments* by the facts of their orders and save what came of it."""
    now = clock.now()
    pairs = [(payment, facts[payment.order_id]) for payment in payments if payment.order_id in facts]
    captures = await store.captures(
        tx, {payment.id for payment, known in pairs if domain.needs_captures(payment, known)}
    )
    applied = Applied()
    changed: list[Payment] = []
    for payment, known in pairs:
        try:
            decision = domain.decide(
                payment,
                known,
                now,
                ids.new,
                captures=captures.get(payment.id, ()),
                late_success=policy.late_success,
            )
        except FactsUnknown as error:
            applied.unknown[payment.id] = error
            continue
        applied.decisions[payment.id] = decision
        if decision.payment is not payment:
            changed.append(decision.payment)
    decisions = list(applied.decisions.values())
    applied.climbed = await store.climb_attempts(
        tx, [(decision.payment, claim) for decision in decisions for claim in decision.claims], now
    )
    await store.add_transactions(
        tx, [(decision.payment, taken) for decision in decisions for taken in decision.transactions]
    )
    await store.save(tx, changed)
    await store.add_history(tx, [line for decision in decisions for line in decision.transitions])
    applied.messages = [
        message
        for decision in decisions
        for happened in decision.announcements
        for message in events.announcements(happened, policy.public_url)
    ]
    measures.moved(((decision.payment, decision.transitions) for decision in decisions), now)
    return applied


def known(found: Mapping[str, Found]) -> dict[str, Facts]:
    return {order_id: facts for order_id, facts in found.items() if isinstance(facts, Facts)}


def questions(
    claims: Iterable[tuple[str, PaymentAttempt]],
) -> list[Question]:
    """One question for each order that webhooks speak of, with all that they claim."""
    by_order: dict[str, list[PaymentAttempt]] = {}
    for order_id, claim in claims:
        by_order.setdefault(order_id, []).append(claim)
    return [Question(order_id, tuple(told), from_webhook=True) for order_id, told in by_order.items()]


def next_checks(
    payments: Sequence[Payment], now: datetime, first_seconds: int, longest_seconds: int
) -> list[tuple[UUID, datetime]]:
    return [
        (payment.id, domain.next_check(payment, now, first_seconds, longest_seconds))
        for payment in payments
        if payment.unresolved and payment.next_check_at is not None
    ]
