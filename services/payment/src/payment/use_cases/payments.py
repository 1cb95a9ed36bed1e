"""Look payments up by any of their ids, for callers who may see them."""

from collections.abc import AsyncIterator, Sequence
from typing import Final
from uuid import UUID

from common import context, ids
from common.authorization import Authorizer
from common.database import Database, Tx
from common.tokens import Caller
from payment.domain.errors import CancelNotAllowed, PaymentNotFound
from payment.domain.history import HistoryFilter
from payment.domain.payments import Payment, parse_payment_id
from payment.domain.purchases import ORDER_ID
from payment.domain.routing import RouteDecision
from payment.store import queries, routing

# To see, and to cancel, the payments of other users of their merchant.
READ_OTHERS: Final = "payments.read_others"
CANCEL_OTHERS: Final = "payments.cancel_others"


async def find_payment(db: Database, caller: Caller, reference: str) -> Payment:
    """The payment behind a payment, order or reference id. Raises PaymentNotFound, for other people's as well."""
    async with db.begin() as tx:
        async for payment in _by_reference(tx, caller.merchant_id, reference):
            if may_see(caller, payment.merchant_id, payment.user_id):
                context.note(payment_id=ids.encode("pay", payment.id), order_id=payment.order_id)
                return payment
    raise PaymentNotFound("there is no such payment")


async def decisions_for(db: Database, caller: Caller, payment: Payment) -> list[RouteDecision]:
    """Why the payment is at its gateway account, for those who see other users' payments; nothing for the rest."""
    if READ_OTHERS not in caller.permissions:
        return []
    async with db.begin() as tx:
        return await routing.decisions_of(tx, payment.id)


async def find_public_payment(db: Database, reference: str) -> Payment:
    """By payment id only: it cannot be guessed, so having it is the permission."""
    payment_id = parse_payment_id(reference)
    payments = await payments_by_id(db, [payment_id]) if payment_id else []
    if not payments:
        raise PaymentNotFound("there is no such payment")
    [payment] = payments
    context.note(payment_id=ids.encode("pay", payment.id), order_id=payment.order_id)
    return payment


async def find_payment_to_cancel(db: Database, authorizer: Authorizer, caller: Caller, reference: str) -> Payment:
    """The payment behind an id, for its owner or staff who may cancel it at this moment.

    Raises PaymentNotFound, CancelNotAllowed, RightsOutdated, or CalleeUnavailable when identity does not answer.
    """
    payment = await find_payment(db, caller, reference)
    if payment.user_id != caller.user_id:
        if CANCEL_OTHERS not in caller.permissions:
            raise CancelNotAllowed("your roles do not allow this")
        await authorizer.require(caller, CANCEL_OTHERS)
    return payment


async def payment_history(db: Database, caller: Caller, wanted: HistoryFilter) -> list[Payment]:
    """A page, and one more when there are more: the caller's own, or for staff another user's of their merchant."""
    if not may_see(caller, caller.merchant_id, wanted.user_id) or "\0" in wanted.user_id:
        raise PaymentNotFound("there is no such user")
    async with db.begin() as tx:
        return await queries.history(tx, caller.merchant_id, wanted)


async def payments_by_id(db: Database, payment_ids: Sequence[UUID]) -> list[Payment]:
    async with db.begin() as tx:
        return await queries.payments_by_id(tx, payment_ids)


def may_see(caller: Caller, merchant_id: str, user_id: str) -> bool:
    return merchant_id == caller.merchant_id and (user_id == caller.user_id or READ_OTHERS in caller.permissions)


async def _by_reference(tx: Tx, merchant_id: str, reference: str) -> AsyncIterator[Payment]:
    """By its own id first; an order may have been given an id that reads like another payment's."""
    payment_id = parse_payment_id(reference)
    if payment_id is not None:
        for payment in await queries.payments_by_id(tx, [payment_id]):
            yield payment
    if ORDER_ID.fullmatch(reference):
        by_order = await queries.payment_by_order(tx, merchant_id, reference)
        if by_order is not None:
            yield by_order
