"""Holds of credits at the wallet: what a payment bought is reserved before its money goes back."""

import grpc.aio
import msgspec

from commdesk.wallet.v1 import wallet_pb2 as pb
from commdesk.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from common import grpc_client, ids
from common.errors import DomainError
from common.intents import RetryLater
from common.money import Money
from payment.domain.payments import Payment
from payment.domain.pricing import Credits
from payment.domain.spent_credits import SpentCreditsPolicy

TIMEOUT_SECONDS = 3.0
# The codes of the wallet that say something about the hold itself.
CREDITS_SPENT = "wallet_credits_spent"
GRANT_PENDING = "wallet_grant_pending"
# The grant's event is on its way from our own queue to the wallet.
GRANT_PENDING_SECONDS = 5.0

_POLICIES = {
    SpentCreditsPolicy.BLOCK: pb.SPENT_CREDITS_BLOCK,
    SpentCreditsPolicy.DEBT: pb.SPENT_CREDITS_DEBT,
    SpentCreditsPolicy.ABSORB: pb.SPENT_CREDITS_ABSORB,
}
assert _POLICIES.keys() == set(SpentCreditsPolicy), "the wallet has a word for every policy"


class HoldOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be held; *operation_key* is `refund:<rfd_…>` or `dispute:<dsp_…>` and makes a repetition safe."""

    operation_key: str
    merchant_id: str
    owner_kind: str
    owner_id: str
    payment_id: str
    credits: Credits
    policy: SpentCreditsPolicy

    @classmethod
    def of(cls, operation_key: str, payment: Payment, credits: Credits, policy: SpentCreditsPolicy) -> "HoldOrder":
        return cls(
            operation_key=operation_key,
            merchant_id=payment.merchant_id,
            owner_kind=payment.owner_kind,
            owner_id=payment.owner_id,
            payment_id=ids.encode("pay", payment.id),
            credits=credits,
            policy=policy,
        )


class CreditHold(msgspec.Struct, frozen=True):
    """Credits that the wallet reserved; *missing* were spent before. *hold_id* is empty in a preview."""

    hold_id: str = ""
    held: Credits = Credits()
    missing: Credits = Credits()
    # What the held credits carry of the payment's net price.
    value: Money = Money(0)


class WalletHolds:
    """Calls the wallet through *stub*, one hold for each call: refunds are rare, and each has its own outcome."""

    def __init__(self, stub: WalletServiceStub) -> None:
        self._stub = stub

    async def hold(self, order: HoldOrder) -> CreditHold:
        """Reserve the credits; none of them is a hold without an id.

        Raises RetryLater while the wallet has not heard of the payment, CalleeUnavailable when it does not answer, and
        what it refuses the hold with.
        """
        if not (order.credits.paid or order.credits.bonus):
            return CreditHold()
        request = pb.HoldCreditsRequest(items=[_item(order)])
        try:
            response = await self._stub.HoldCredits(request, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise grpc_client.errors_from(error) from error
        try:
            return _hold(response.results[0])
        except DomainError as error:
            if error.code == GRANT_PENDING:
                raise RetryLater(GRANT_PENDING_SECONDS, GRANT_PENDING) from error
            raise

    async def preview(self, order: HoldOrder) -> CreditHold:
        """What `hold` would answer now. Raises what the wallet refuses it with, and CalleeUnavailable."""
        request = pb.PreviewHoldsRequest(items=[_item(order)])
        try:
            response = await self._stub.PreviewHolds(request, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise grpc_client.errors_from(error) from error
        return _hold(response.results[0])


def _item(order: HoldOrder) -> pb.HoldRequest:
    return pb.HoldRequest(
        operation_key=order.operation_key,
        owner=pb.Owner(merchant_id=order.merchant_id, kind=order.owner_kind, id=order.owner_id),
        payment_id=order.payment_id,
        credits_paid=order.credits.paid,
        credits_bonus=order.credits.bonus,
        policy=_POLICIES[order.policy],
    )


def _hold(result: pb.HoldResult) -> CreditHold:
    if result.HasField("error"):
        raise grpc_client.error_from(result.error)
    hold = result.hold
    return CreditHold(
        hold.hold_id,
        Credits(hold.credits_paid, hold.credits_bonus),
        Credits(hold.missing_paid, hold.missing_bonus),
        Money(hold.value.minor, hold.value.currency or "INR"),
    )
