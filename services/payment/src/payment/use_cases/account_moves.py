"""Move a payment whose order no gateway has made to another gateway account, under its lock."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

import msgspec

from common import outbox
from common.clock import Clock
from common.database import Database, Tx, retried
from payment.domain.errors import PaymentUnresolved
from payment.domain.payments import move
from payment.domain.routing import Reason, RouteDecision
from payment.domain.states import Status
from payment.store import commands
from payment.store import routing as store
from payment.use_cases import metrics
from payment.use_cases.routing import Router
from payment.wire import events

ACTOR: Final = "routing"

# Has the intent to make the order name that account; False when another worker has taken the intent over.
Redirect: TypeAlias = Callable[[Tx, str], Awaitable[bool]]


class Move(msgspec.Struct, frozen=True):
    """*account_id* did not make the payment's order. *tried*: the accounts that did not, with the reason of each."""

    payment_id: UUID
    account_id: str
    tried: Mapping[str, Reason]
    redirect: Redirect


class AccountMoves:
    """Between the accounts that *router* chooses from."""

    def __init__(self, db: Database, clock: Clock, router: Router) -> None:
        self._db = db
        self._clock = clock
        self._router = router

    async def move(self, request: Move) -> str | None:
        """The account that is to make the order now; None when there is none that works, or nothing may be made.

        Raises PaymentUnresolved when another worker is at the payment's order.
        """
        # Without a second account there is nothing to look at.
        if not self._router.routed_accounts:
            return None
        decision = await move_payment(self._db, self._router, request, self._clock.now())
        if decision is None:
            return None
        metrics.account_changed(self._router.gateway_of(request.account_id), request.tried[request.account_id].value)
        self._router.health.sent(decision.gateway_account_id)
        return decision.gateway_account_id

    def calls_fail(self, account_id: str) -> bool:
        """Whether they failed a moment ago; an account that may have recovered is asked first."""
        return account_id in self._router.health.health().failing


@retried
async def move_payment(db: Database, router: Router, request: Move, now: datetime) -> RouteDecision | None:
    """See AccountMoves.move. The intent is locked before the payment, as where outcomes are recorded."""
    async with db.begin() as tx:
        if not await request.redirect(tx, request.account_id):
            raise PaymentUnresolved("another worker is making the payment's order")
        payment = (await commands.lock_payments(tx, [request.payment_id]))[request.payment_id]
        is_open = payment.status is Status.CREATED and not payment.gateway_order_id and not payment.cancel_requested
        if not is_open or payment.gateway_account_id != request.account_id:
            return None
        decision = router.next_account(payment, request.tried)
        if decision is None:
            return None
        moved, transition = move(
            payment, Status.CREATED, reason=request.tried[request.account_id].value, actor=ACTOR, now=now
        )
        gateway = router.gateway_of(decision.gateway_account_id)
        decisions = [*await store.decisions_of(tx, payment.id), decision]
        if not await store.move_payment(tx, payment.id, gateway, decisions, moved.seq, now):
            return None
        await commands.add_history(tx, [transition])
        await request.redirect(tx, decision.gateway_account_id)
        line = events.audit(
            moved,
            "payment.account.change",
            payment.status,
            now,
            leaves=payment.gateway_account_id,
            takes=decision.gateway_account_id,
            reason=transition.reason,
        )
        await outbox.append(tx, [line])
    return decision
