"""The API under /razorpay/control for what happens after a payment: refunds of the dashboard, disputes, settlements."""

from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.control import command_of, json
from sandbox.razorpay import disputes, errors, settlement_entities
from sandbox.razorpay.accounts import Accounts
from sandbox.razorpay.disputes import Disputes
from sandbox.razorpay.domain import RefundStatus, Settlement
from sandbox.razorpay.order_registry import OrderRegistry
from sandbox.razorpay.refunds import Refunds
from sandbox.razorpay.requests import NewRefund
from sandbox.razorpay.settlements import Settlements
from sandbox.razorpay.simulator import Simulator
from sandbox.settling import Fees, RowFault

_THREE_DAYS_SECONDS = 3 * 24 * 3_600


class _Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class RefundCommand(_Command, frozen=True, kw_only=True):
    status: RefundStatus


class DashboardRefund(_Command, frozen=True, kw_only=True):
    """A refund that the API was not asked for, of the last capture unless a payment is named."""

    amount_paise: int | None = None
    payment_id: str = ""
    status: RefundStatus = RefundStatus.PROCESSED


class NewDispute(_Command, frozen=True, kw_only=True):
    """*deducts_at_once*: the money is taken when the dispute is raised, not when it is lost."""

    amount_paise: int | None = None
    phase: str = "chargeback"
    reason_code: str = "chargeback"
    respond_in_seconds: int = _THREE_DAYS_SECONDS
    deducts_at_once: bool = False


class DisputeMove(_Command, frozen=True, kw_only=True):
    status: str = ""
    phase: str = ""
    respond_in_seconds: int | None = None


class NewSettlement(_Command, frozen=True, kw_only=True):
    """Settles now, of these orders or of all of an account, which is that of the settings unless another is named."""

    key_id: str = ""
    order_ids: list[str] = []
    faults: list[RowFault] = []
    status: Literal["created", "processed", "failed"] = "processed"
    adjustment_paise: int = 0


class SettlementMove(_Command, frozen=True, kw_only=True):
    status: Literal["created", "processed", "failed"] | None = None
    adjustment_paise: int = 0


class MoneyControl:
    """What a test may let happen to money that was paid."""

    def __init__(
        self,
        simulator: Simulator,
        accounts: Accounts,
        refunds: Refunds,
        disputes_: Disputes,
        settlements: Settlements,
    ) -> None:
        self._simulator = simulator
        self._orders: OrderRegistry = simulator.orders
        self._accounts = accounts
        self._refunds = refunds
        self._disputes = disputes_
        self._settlements = settlements

    def routes(self) -> list[Route]:
        """The paths under /razorpay/control."""
        return [
            Route("/refunds/{refund_id}", self.decide_refund, methods=["POST"]),
            Route("/orders/{order_id}/refunds", self.refund, methods=["POST"]),
            Route("/orders/{order_id}/disputes", self.dispute, methods=["POST"]),
            Route("/disputes/{dispute_id}", self.move_dispute, methods=["POST"]),
            Route("/settlements", self.settle, methods=["POST"]),
            Route("/settlements/{settlement_id}", self.move_settlement, methods=["POST"]),
            Route("/fees", self.set_fees, methods=["PUT"]),
        ]

    async def decide_refund(self, request: Request) -> Response:
        """Give a refund a status, whatever it was; failed after processed: the bank sent the money back."""
        command = await command_of(request, RefundCommand)
        order, payment, refund = self._orders.refund_named(request.path_params["refund_id"])
        self._refunds.decide(order, payment, refund, command.status)
        return json({"refund_id": refund.id, "refund_status": refund.status})

    async def refund(self, request: Request) -> Response:
        """Refund an order's payment as the dashboard does."""
        command = await command_of(request, DashboardRefund)
        order = self._orders.named(request.path_params["order_id"])
        captured = [it for it in order.payments if it.captured_at is not None and command.payment_id in ("", it.id)]
        if not captured:
            raise errors.not_refundable()
        refund = self._refunds.start(order, captured[-1], NewRefund(command.amount_paise, "normal", {}, None))
        if command.status is not RefundStatus.PENDING:
            self._refunds.decide(order, captured[-1], refund, command.status)
        return json({"refund_id": refund.id, "refund_status": refund.status}, 201)

    async def dispute(self, request: Request) -> Response:
        """Dispute an order's payment."""
        command = await command_of(request, NewDispute)
        if command.phase not in disputes.PHASES:
            raise ValueError(f"phase is one of {', '.join(disputes.PHASES)}")
        dispute = self._disputes.start(
            self._orders.named(request.path_params["order_id"]),
            amount=command.amount_paise,
            phase=command.phase,
            reason_code=command.reason_code,
            respond_in_seconds=command.respond_in_seconds,
            deducts_at_once=command.deducts_at_once,
        )
        return json({"dispute_id": dispute.id, "dispute_status": dispute.status}, 201)

    async def move_dispute(self, request: Request) -> Response:
        """Move a dispute to another status or phase."""
        command = await command_of(request, DisputeMove)
        order, payment, dispute = self._orders.dispute(request.path_params["dispute_id"])
        status, phase = command.status or dispute.status, command.phase or dispute.phase
        if status not in disputes.STATUSES or phase not in disputes.PHASES:
            raise ValueError(
                f"status is one of {', '.join(disputes.STATUSES)}; phase is one of {', '.join(disputes.PHASES)}"
            )
        respond_in_seconds = command.respond_in_seconds
        self._disputes.move(order, payment, dispute, status=status, phase=phase, respond_in_seconds=respond_in_seconds)
        return json({"dispute_id": dispute.id, "dispute_status": dispute.status})

    async def settle(self, request: Request) -> Response:
        """Settle now; {} when there is nothing to settle."""
        command = await command_of(request, NewSettlement)
        orders = [self._orders.named(name) for name in command.order_ids]
        account = self._accounts.of_key(command.key_id) if command.key_id else self._accounts.first
        if orders:
            account = orders[0].account
        settlement = self._settlements.settle(
            account,
            [it for it in orders if it.account is account] or self._orders.all(account),
            faults=[
                msgspec.structs.replace(fault, order_id=self._orders.name_of(fault.order_id))
                for fault in command.faults
            ],
            status=command.status,
            adjustment=command.adjustment_paise,
        )
        return json({} if settlement is None else _shown(settlement), 201)

    async def move_settlement(self, request: Request) -> Response:
        """Hold, pay out again or correct a settlement."""
        command = await command_of(request, SettlementMove)
        settlement = self._settlements.find(request.path_params["settlement_id"])
        if settlement is None:
            return json({"message": "no such settlement"}, 404)
        self._settlements.move(settlement, command.status or settlement.status, command.adjustment_paise)
        return json(_shown(settlement))

    async def set_fees(self, request: Request) -> Response:
        """What payments cost that are captured from now on."""
        self._simulator.fees = await command_of(request, Fees)
        return json(self._simulator.fees)


def _shown(settlement: Settlement) -> dict[str, object]:
    return settlement_entities.entity(settlement) | {"settled_on": settlement_entities.day_of(settlement)}
