"""The API under /control for what happens after a payment: refunds of the dashboard, disputes, settlements."""

from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.cashfree import disputes, settlement_entities
from sandbox.cashfree.accounts import Account, Accounts
from sandbox.cashfree.disputes import Disputes
from sandbox.cashfree.domain import RefundStatus
from sandbox.cashfree.order_registry import OrderRegistry
from sandbox.cashfree.refunds import Refunds
from sandbox.cashfree.settlements import Settlements
from sandbox.control import command_of, json
from sandbox.settling import Fees, RowFault

_THREE_DAYS_SECONDS = 3 * 24 * 3_600


class _Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class DashboardRefund(_Command, frozen=True, kw_only=True):
    """A refund that the API was not asked for; *automatic*: the gateway itself made it."""

    amount_paise: int | None = None
    cf_payment_id: str = ""
    automatic: bool = False
    status: RefundStatus = RefundStatus.SUCCESS


class NewDispute(_Command, frozen=True, kw_only=True):
    amount_paise: int | None = None
    stage: str = "CHARGEBACK"
    reason_code: str = "4855"
    respond_in_seconds: int = _THREE_DAYS_SECONDS


class DisputeMove(_Command, frozen=True, kw_only=True):
    """*step* WON and LOST stand for MERCHANT_WON and MERCHANT_LOST."""

    step: str = ""
    stage: str = ""
    respond_in_seconds: int | None = None


class NewSettlement(_Command, frozen=True, kw_only=True):
    """Settles now, of these orders or of all of an account, which is that of the settings unless another is named.

    *status* PENDING leaves it on its way.
    """

    app_id: str = ""
    order_ids: list[str] = []
    faults: list[RowFault] = []
    status: Literal["PENDING", "SUCCESS", "FAILED", "REVERSED"] = "SUCCESS"
    adjustment_paise: int = 0


class SettlementMove(_Command, frozen=True, kw_only=True):
    """A status (FAILED: on hold at the gateway) or a correction, which is one more row."""

    status: Literal["PENDING", "SUCCESS", "FAILED", "REVERSED"] | None = None
    adjustment_paise: int = 0


class MoneyControl:
    """What a test may let happen to money that was paid."""

    def __init__(
        self,
        accounts: Accounts,
        orders: OrderRegistry,
        refunds: Refunds,
        disputes_: Disputes,
        settlements: Settlements,
    ) -> None:
        self._accounts = accounts
        self._orders = orders
        self._refunds = refunds
        self._disputes = disputes_
        self._settlements = settlements

    def routes(self) -> list[Route]:
        """The paths under /control."""
        return [
            Route("/accounts", self.put_account, methods=["PUT", "POST"]),
            Route("/orders/{order_id}/refunds", self.refund, methods=["POST"]),
            Route("/orders/{order_id}/disputes", self.dispute, methods=["POST"]),
            Route("/disputes/{dispute_id}", self.move_dispute, methods=["POST"]),
            Route("/settlements", self.settle, methods=["POST"]),
            Route("/settlements/{settlement_id}", self.move_settlement, methods=["POST"]),
            Route("/fees", self.set_fees, methods=["PUT"]),
        ]

    async def put_account(self, request: Request) -> Response:
        """Add an account, or change the one with that app id."""
        account = self._accounts.put(await command_of(request, Account))
        return json({"app_id": account.app_id}, 201)

    async def refund(self, request: Request) -> Response:
        """Refund an order's payment as the dashboard or the gateway itself does."""
        command = await command_of(request, DashboardRefund)
        order = self._orders.order(request.path_params["order_id"])
        refund = self._refunds.start_unasked(
            order, command.amount_paise, command.cf_payment_id, is_automatic=command.automatic
        )
        if command.status is not RefundStatus.PENDING:
            self._refunds.decide(order, refund, command.status)
        return json(
            {
                "refund_id": refund.refund_id,
                "cf_refund_id": str(refund.cf_refund_id),
                "refund_status": refund.status,
            },
            201,
        )

    async def dispute(self, request: Request) -> Response:
        """Dispute an order's payment."""
        command = await command_of(request, NewDispute)
        if command.stage not in disputes.STAGES:
            raise ValueError(f"stage is one of {', '.join(disputes.STAGES)}")
        dispute = self._disputes.start(
            self._orders.order(request.path_params["order_id"]),
            amount_paise=command.amount_paise,
            stage=command.stage,
            reason_code=command.reason_code,
            respond_in_seconds=command.respond_in_seconds,
        )
        return json({"dispute_id": str(dispute.dispute_id), "dispute_status": disputes.status(dispute)}, 201)

    async def move_dispute(self, request: Request) -> Response:
        """Move a dispute to another stage or step."""
        command = await command_of(request, DisputeMove)
        dispute = self._disputes.dispute(request.path_params["dispute_id"])
        step = {"WON": disputes.WON, "LOST": "MERCHANT_LOST"}.get(command.step, command.step) or dispute.step
        stage = command.stage or dispute.stage
        if step not in disputes.STEPS + disputes.ENDS or stage not in disputes.STAGES:
            raise ValueError(f"step is one of WON, LOST, {', '.join(disputes.STEPS + disputes.ENDS)}")
        self._disputes.move(dispute, stage=stage, step=step, respond_in_seconds=command.respond_in_seconds)
        return json({"dispute_id": str(dispute.dispute_id), "dispute_status": disputes.status(dispute)})

    async def settle(self, request: Request) -> Response:
        """Settle now; {} when there is nothing to settle."""
        command = await command_of(request, NewSettlement)
        account = self._accounts.find(command.app_id) or self._accounts.first
        if command.order_ids:
            account = self._orders.order(command.order_ids[0]).account
        settlement = self._settlements.settle(
            account,
            order_ids=command.order_ids,
            faults=command.faults,
            status=command.status,
            adjustment_paise=command.adjustment_paise,
        )
        return json({} if settlement is None else settlement_entities.entity(settlement), 201)

    async def move_settlement(self, request: Request) -> Response:
        """Hold, reverse, pay out again or correct a settlement."""
        command = await command_of(request, SettlementMove)
        settlement = self._settlements.of(request.path_params["settlement_id"])
        if settlement is None:
            return json({"message": "no such settlement"}, 404)
        self._settlements.move(settlement, command.status or settlement.status, command.adjustment_paise)
        return json(settlement_entities.entity(settlement))

    async def set_fees(self, request: Request) -> Response:
        """What payments cost from now on."""
        self._settlements.fees = await command_of(request, Fees)
        return json(self._settlements.fees)
